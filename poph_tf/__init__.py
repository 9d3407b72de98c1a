"""poph_tf composes polyphonic music with PopH, its ancestors and what lies beyond.

`poph_tf.load("bach")` gives a model that composes (see `generation/composer.py`); the commands are
`python -m poph_tf.train`, `evaluate`, `generate`, `export` and `serve`.
"""

import os

__version__ = "0.1.0"


def load(model=None):
    """Loads a model for composing; see `poph_tf.generation.composer.load`."""
    # TensorFlow takes seconds to import: not before it is needed.
    from poph_tf.cli import quiet

    # Who has chosen what TensorFlow logs is to see it.
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        quiet.import_tensorflow()
    quiet.ignore_missing_ffmpeg()
    from poph_tf.generation import composer

    return composer.load(model)
