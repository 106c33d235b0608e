"""Alarms that wake the engine at the next due instant."""
