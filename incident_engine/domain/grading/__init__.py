"""Rule packs and the assessment of an incident under them."""
