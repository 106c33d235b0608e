"""Drills: scenarios played by the whole engine, what must come of them, and the report."""
