"""What the registrar's commands have in common, and the group of commands for any account."""
