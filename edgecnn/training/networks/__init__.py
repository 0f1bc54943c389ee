"""The networks, one file a family.

Each `build_...(spec, height, width)` gives a randomly initialized network from normalized float32 images
`[None, height, width, spec.channels]` (layer "image") to features `[None, spec.features]`, on which a head is put. What
Keras has is Keras's, under its own layer names; graphs are flat and hold no preprocessing.
"""
