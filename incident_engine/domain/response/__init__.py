"""Playbooks and the plan of steps that they ask for."""
