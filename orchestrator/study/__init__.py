"""Study files: their schema, the plan of trials that follows from one, estimates of time and size.

May import store, `workers` and `spaces`. Imported by execution and what is above it.
"""
