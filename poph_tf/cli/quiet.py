"""Imports without warnings about what this machine lacks and does not need.

The plain TensorFlow wheel prints on standard error, before any log level counts, that
it found no CUDA drivers. On a machine without a GPU this would drown the one line that
a command prints. On a machine with a GPU nothing is hidden.
"""

import contextlib
import importlib
import os
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Imports TensorFlow; shows its output only if the import fails."""
    has_gpu = any(pathlib.Path("/dev").glob("nvidia[0-9]*"))
    if "tensorflow" in sys.modules or has_gpu:
        return
    # Also hides the message of the first device search, that there is no CUDA.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with held_back_stderr():
        importlib.import_module("tensorflow")


def ignore_missing_ffmpeg() -> None:
    """Hides the warning of pydub, which note-seq imports, that ffmpeg is missing."""
    warnings.filterwarnings("ignore", message="Couldn't find ffmpeg")


@contextlib.contextmanager
def held_back_stderr() -> Iterator[None]:
    """Collects what is written to file descriptor 2; shows it if the block raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            output.seek(0)
            os.write(2, output.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
