"""The model file: flatbuffer, card, labels, golden vectors and metadata."""
