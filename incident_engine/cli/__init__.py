"""The command line: one module per command, terminal tables in `text/`."""
