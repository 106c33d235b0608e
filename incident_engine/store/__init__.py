"""The database: tables, the one writer, and queries."""
