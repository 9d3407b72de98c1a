"""The SavedModel: a model that composes and scores behind TF Serving.

The signatures are described in `module.py`, the directories in `versions.py`.
"""

from poph_tf.serving.limits import Limits
from poph_tf.serving.signatures import ServingModule
from poph_tf.serving.versions import describe, export

__all__ = ["Limits", "ServingModule", "describe", "export"]
