"""Watches the daemon's workers, clock and store, and notifies the operators by channels of its own."""
