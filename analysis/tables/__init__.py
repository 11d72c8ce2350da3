"""Named tables, and how a table is written: for people, as JSON, CSV, LaTeX, Markdown or HTML.

`catalogue` lists the tables of the command line by name.
Imports `comparison` and `statistics`; drawing and page may import it.
"""
