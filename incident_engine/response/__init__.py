"""What must happen: playbooks, the plan and the messages. Pure."""
