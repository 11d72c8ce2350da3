"""Drawings of an architecture's cells: layout, SVG, PNG and DOT files, and lines for a terminal.

Imports only `rows` and `names`, and matplotlib when it writes a PNG.
The report's page and `archsweep show` may import it.
"""
