"""Tools that know nothing of incidents: errors, validation, clock, log, texts in two languages."""
