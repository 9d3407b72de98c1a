"""What the command lines share: errors, progress, a quiet TensorFlow."""
