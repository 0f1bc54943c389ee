"""Inference with a model file: interpreter, tensors, classifier and verification."""
