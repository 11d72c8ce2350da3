"""Thousands of trials, once each: study files, plans, the store of rows, engines, progress, command line."""
