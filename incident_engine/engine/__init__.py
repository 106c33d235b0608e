"""Use cases: load an incident, call the domain, write the result."""
