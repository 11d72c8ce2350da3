"""TODO analysis/drawing/cells."""
