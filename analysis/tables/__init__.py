"""TODO analysis/tables."""
