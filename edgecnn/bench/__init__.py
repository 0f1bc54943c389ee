"""How good and how fast a model file is: accuracy, float against int8, the gate, latency, the report. No TensorFlow."""
