"""TODO orchestrator/ray_tune."""
