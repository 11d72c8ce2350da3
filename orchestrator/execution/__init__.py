"""TODO orchestrator/execution."""
