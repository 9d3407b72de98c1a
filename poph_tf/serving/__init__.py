"""The SavedModel: a model that composes and scores behind TF Serving.

`inputs.py` says what a request may contain, `signatures.py` has the graphs, and
`versions.py` writes the directories that a server reads.
"""

from poph_tf.config import Limits
from poph_tf.serving.signatures import ServingModule
from poph_tf.serving.versions import describe, export, export_model_dir

__all__ = ["Limits", "ServingModule", "describe", "export", "export_model_dir"]
