"""Typed settings, rule packs, playbooks, reports and scenarios, loaded from the files that operators write."""
