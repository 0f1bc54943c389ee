"""Run folders: their records, lists and data sets."""
