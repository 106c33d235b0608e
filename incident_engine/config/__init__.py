"""Typed settings, rule packs, playbooks, reports and scenarios, read from the files that operators write."""
