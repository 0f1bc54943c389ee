"""Options of commands: shared declarations, and options generated from settings models."""
