"""Outputs of results beyond the terminal, each behind a bounded queue in a thread of its own."""
