"""Self-monitoring: find late, dead or stuck parts and notify without them."""
