"""Checks of photo folders before training, and imports of data sets in other forms as such folders."""
