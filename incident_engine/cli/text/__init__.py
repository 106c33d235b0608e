"""Gradings, explanations and replays as text for a terminal."""
