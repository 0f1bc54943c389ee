"""The live loop: cameras, feeds, results and their summary."""
