"""Serving: the API and its page, and the SavedModel behind TF Serving.

One server (`lifecycle.py`) has two sets of endpoints: `api/` composes for any program
over HTTP, without TensorFlow; `tf_serving/` serves a SavedModel as TF Serving does.
For the SavedModel, `inputs.py` defines what a request may contain, `signatures.py`
has the graphs, `saved_model.py` writes it, and `versions.py` finds what was written.
"""

import importlib
from typing import TYPE_CHECKING, Any

from poph_tf.config import Limits

if TYPE_CHECKING:
    from poph_tf.serving.saved_model import export, export_model_dir
    from poph_tf.serving.signatures import ServingModule
    from poph_tf.serving.versions import describe

__all__ = ["Limits", "ServingModule", "describe", "export", "export_model_dir"]


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use (PEP 562); most need TensorFlow."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {"ServingModule": "signatures", "describe": "versions"}
    home = homes.get(name, "saved_model")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    """The names of the package, whether imported yet or not."""
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "importlib"})
