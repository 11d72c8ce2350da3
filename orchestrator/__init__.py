"""Runs studies of thousands of trials: plans them, trains each trial once, stores its row.

May import `workers` and `spaces`; nothing imports it. The folders import each other in one order only: cli, bench |
importing, runner, ray_tune, execution, study, store, terminal. The import contracts in pyproject.toml check this.
"""
