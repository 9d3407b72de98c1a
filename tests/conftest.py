"""What all tests share; the small models and pieces are in small.py."""

import os

# Read when TensorFlow is first imported: without it every run ends in its start-up log.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
