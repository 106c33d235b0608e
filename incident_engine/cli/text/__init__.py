"""Gradings, explanations, replays, previews and the banner as text for a terminal."""
