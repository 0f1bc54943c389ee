"""Entry point of `python -m edgecnn`."""

from edgecnn.cli import main

main()
