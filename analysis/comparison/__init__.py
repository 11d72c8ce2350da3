"""What is compared: rows gathered into cells, and which architectures each pair of cells uses.

`keys` identifies cells, `options` holds the options of every statistic, `cells` the scores side by side.
Imports only `rows` and `names`; statistics, tables, drawing and page may import it.
"""
