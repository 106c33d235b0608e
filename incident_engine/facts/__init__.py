"""What is known: events, the incident they fold into, regions and service hours. Pure."""
