"""How facts come in: one file a format."""
