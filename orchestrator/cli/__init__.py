"""TODO orchestrator/cli."""
