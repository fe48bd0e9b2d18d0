"""The commands of the command line: each module parses options, calls a library function and prints its result.

`zipthought.cli.COMMANDS` registers them.
"""
