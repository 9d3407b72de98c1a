"""The HTTP API: composes for any program, without TensorFlow."""
