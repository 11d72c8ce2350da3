"""Runs studies of thousands of trials: plans them, trains each trial once, stores its row.

Uses `workers` and `spaces`; the folders import each other in one order only: cli, bench | importing, runner, ray_tune,
execution, study, store, terminal. pyproject.toml checks it.
"""
