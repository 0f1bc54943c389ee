"""Execution of recipes: chains of stages, each of which is skipped if its inputs have not changed."""
