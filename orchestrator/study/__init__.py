"""TODO orchestrator/study."""
