"""Folders of photos before training: what is wrong with them, and how data sets in other forms become one."""
