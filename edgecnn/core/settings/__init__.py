"""Settings of every command, recipe and device profile."""
