"""The networks, one module per family.

Each `build_...(spec, height, width)` returns a randomly initialized network from normalized float32 images
`[None, height, width, spec.channels]` (layer "image") to features `[None, spec.features]`, which a head takes as input.
Networks that Keras provides are Keras's own, under Keras's layer names. All graphs are flat and contain no
preprocessing.
"""
