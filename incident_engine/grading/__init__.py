"""What the facts mean: rule packs, conditions and the assessment. Pure."""
