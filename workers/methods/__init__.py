"""Training methods: how a network is trained on a task, epoch by epoch.

May import trial, recipes, data and streams. Imported by `workers.run`.
"""
