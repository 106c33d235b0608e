"""The texts that are sent: templates, their variables and their sandbox."""
