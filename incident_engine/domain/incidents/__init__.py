"""Incidents: events folded into a case, and the correlation of events with incidents."""
