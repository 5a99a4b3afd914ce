"""Commands for people: check, predict, export, show, plan, compare, explain, verify, accept."""
