"""Inbound formats: one module a format."""
