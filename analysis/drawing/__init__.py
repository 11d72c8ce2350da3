"""Figures with matplotlib: scatters, random experiments, and the colours that page and figures share.

The only folder besides `page` that imports matplotlib.
Imports `rows`, `comparison` and `statistics`; only `page` and `analysis` itself may import it.
"""
