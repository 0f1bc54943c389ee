"""The arithmetic of a network, layer by layer, for `edgecnn summary`."""
