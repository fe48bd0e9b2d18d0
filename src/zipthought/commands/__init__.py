"""The commands of the command line, a file each: parse, call, print. Registered in `zipthought.cli.COMMANDS`."""
