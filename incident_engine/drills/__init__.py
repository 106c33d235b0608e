"""Drills: play scenarios with the whole engine, check the expectations, report."""
