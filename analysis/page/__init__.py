"""TODO analysis/page."""
