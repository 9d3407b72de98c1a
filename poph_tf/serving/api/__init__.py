"""The API: composes over HTTP for any program, without TensorFlow."""
