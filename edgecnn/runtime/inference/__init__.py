"""A model file at work: interpreter, tensors, classifier and verification."""
