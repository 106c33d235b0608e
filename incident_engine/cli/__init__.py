"""The command line: one module a command, terminal tables in `text/`."""
