"""Training loops: phases, input pipelines, callbacks, checkpoints and workers."""
