"""The device side: interpreter, classifier, frame sources and the live loop. No TensorFlow."""
