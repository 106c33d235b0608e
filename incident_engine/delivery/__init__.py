"""Send messages: claim due deliveries, send each over its channel, record the outcome."""
