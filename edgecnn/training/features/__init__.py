"""Frozen backbone features and prepared pixels, computed once and cached on disk."""
