"""The parts of a training by SGD: network and optimiser, steps, epochs.  Methods and benchmarks compose them.

Imports tasks, datasets and data; workers.methods and workers.bench may import it.
"""
