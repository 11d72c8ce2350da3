"""The engine `tune`: trials on a local Ray or on a Ray cluster, how they fail there, and loggers of Ray Tune.

The only folder that imports Ray. May import execution, study and store. Imported by the runner.
"""

import os

# Read by Ray Tune when it is imported or when a run begins.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # its files for each trial cost more than a row
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # the driver handles Ctrl-C: running trials drain
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the other reporter prints even with verbose=0
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
# After a lost connection, wait until the cluster reports whether the worker or its whole node died.
os.environ.setdefault("RAY_timeout_ms_task_wait_for_death_info", "60000")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # CPU trials hide the GPUs themselves
