"""TODO analysis/statistics."""
