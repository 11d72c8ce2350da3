"""TODO workers/data."""
