"""The way of rows into `analysis`: runs on disk or in a bucket, tables of other sources, SQL.

`schema` holds the columns of rows and plans, `graph` reads the graph of an architecture.
Imports nothing else of `analysis`; every other folder may import it.
"""
