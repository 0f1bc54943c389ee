"""Training loops: phases, input pipelines, callbacks, the journal and workers."""
