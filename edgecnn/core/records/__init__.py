"""JSON formats of results: each model writes, reads and documents its format."""
