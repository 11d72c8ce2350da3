"""The folder of a run, on a disk or in an object store: rows, plan, lease, log files, and the states of its trials.

May import `workers` (file access, row schema). Imported by every other folder.
"""
