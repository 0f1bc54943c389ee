"""Recipes carried out: a chain of stages, each skipped when its inputs have not changed."""
