"""Reports to authorities: definitions, drafts, and the facts that fill them."""
