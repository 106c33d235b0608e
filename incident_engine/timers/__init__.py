"""What wakes the engine at the next due instant."""
