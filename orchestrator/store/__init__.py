"""TODO orchestrator/store."""
