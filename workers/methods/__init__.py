"""TODO workers/methods."""
