"""The device side: interpreter, classifier, frame sources and the live loop. It imports no TensorFlow."""
