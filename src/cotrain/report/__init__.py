"""Figures, charts, tables and the page of a report."""
