"""The yearly review: figures of a period and their text."""
