"""The review of a period: figures, their text, and the versions of an incident's reports."""
