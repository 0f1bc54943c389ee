"""Sizes, parameters and receptive fields of a network, layer by layer, for `edgecnn summary`."""
