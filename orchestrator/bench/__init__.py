"""TODO orchestrator/bench."""
