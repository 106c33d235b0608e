"""Tools without knowledge of incidents: errors, validation, clock, log, texts in two languages."""
