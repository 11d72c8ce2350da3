"""TODO orchestrator/importing."""
