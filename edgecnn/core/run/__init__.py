"""Run folders: their records, saved results, lists and datasets."""
