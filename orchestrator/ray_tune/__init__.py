"""The engine `tune`: trials on a local Ray or on a Ray cluster, how they fail there, and loggers of Ray Tune.

The only folder that imports Ray. May import execution, study and store. Imported by the runner.
"""
