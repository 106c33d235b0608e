"""Events that monitors and people report."""
