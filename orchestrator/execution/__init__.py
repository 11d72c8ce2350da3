"""One launch of a run: the queue of trials, what a worker does with one trial, heartbeat, signals, engine `inline`.

May import study, store and `workers`; not Ray. Imported by ray_tune, the runner and what is above them.
"""
