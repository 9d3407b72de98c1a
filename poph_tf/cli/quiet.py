"""Imports without remarks on what this machine lacks and nobody here needs.

The plain wheel says on standard error, before any log level counts, that it found no
CUDA drivers. That is no news on a machine without a GPU and would hide the one line
that a command has to say. Where there is a GPU nothing is hidden.
"""

import contextlib
import glob
import importlib
import os
import sys
import tempfile
import warnings

GPU_DEVICES = "/dev/nvidia[0-9]*"


def import_tensorflow():
    """Imports TensorFlow; what it says is shown only if the import fails."""
    if "tensorflow" in sys.modules or glob.glob(GPU_DEVICES):
        return
    # Also hides that the first look for devices found no CUDA.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _held_back_stderr():
        importlib.import_module("tensorflow")


def ignore_missing_ffmpeg():
    """note-seq brings pydub, which says that it misses an ffmpeg."""
    warnings.filterwarnings("ignore", message="Couldn't find ffmpeg")


@contextlib.contextmanager
def _held_back_stderr():
    """Collects what any code writes to file descriptor 2; shows it on failure."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            said.seek(0)
            os.write(2, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
