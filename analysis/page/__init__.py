"""The report: one HTML page with its sections, line charts, matrices, linked panels and their scripts.

`report` writes it; `assets` holds styles and scripts.
May import every other folder of `analysis`; only `analysis` itself and the command line import it.
"""
