"""TODO analysis/comparison."""
