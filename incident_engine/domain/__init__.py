"""The pure core: events, incidents, grading, response and messages. No store, network, thread or clock."""
