"""The statistics: one file per question, each from a comparison to a DataFrame.

`ranks` and `bootstrap` hold the correlations and the intervals that the others share.
Imports `rows` and `comparison`; tables, drawing and page may import it.
"""
