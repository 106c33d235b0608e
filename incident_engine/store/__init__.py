"""Where everything is kept: tables, the one writer, and queries."""
