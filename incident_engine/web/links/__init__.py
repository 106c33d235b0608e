"""Signed links in messages: pages on which a recipient acts on a step."""
