"""Results that others measured, converted to rows of a run: tables, and the files of the UnNAS release.

May import execution, store and `analysis`. Imported by cli.
"""
