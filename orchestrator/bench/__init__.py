"""Benchmarks of whole sweeps: the cost of Ray per trial, and whether fast modes keep the ranking of architectures.

May import the runner and all below it, and `analysis`. Imported by cli.
"""
