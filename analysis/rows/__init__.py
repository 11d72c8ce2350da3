"""TODO analysis/rows."""
