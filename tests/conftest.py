"""What all tests share; the small models and pieces are in small.py."""

import os

# Read when TensorFlow is first imported: without it every run ends in its start-up log.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Several processes of tests at once: each keeps to one core, children included.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import hypothesis

# A busy machine is no failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
