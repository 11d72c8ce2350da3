"""TODO analysis/drawing."""
