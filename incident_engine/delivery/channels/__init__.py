"""The channels over which messages go out."""
