"""The unrolled procedure: rounds and jobs as plain data, and what they cost."""
