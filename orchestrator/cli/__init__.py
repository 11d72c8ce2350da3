"""The command line: `main` defines the commands, the other files hold one command or one part of the output each.

May import everything in the project. Nothing imports it, except `orchestrator.__main__`.
"""
