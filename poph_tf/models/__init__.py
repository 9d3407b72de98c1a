"""Networks: presets, layers and losses; models are built, saved and loaded here.

    from poph_tf import models

    model = models.build(config.preset("poph2"))
    models.save(model, "runs/x")
    model = models.load("runs/x")

`build`, `load`, `save`, `read_config` and `read_settings` come from `polyphony_model`,
which is imported on first use, so that `presets` and `pretrained` work without
TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poph_tf.models.polyphony_model import (
        PolyphonyModel,
        build,
        load,
        read_config,
        read_settings,
        save,
    )

__all__ = ["PolyphonyModel", "build", "load", "read_config", "read_settings", "save"]

# Files of a model directory: weights that include the model's config, and the settings
# and provenance of its training.
WEIGHTS_FILE = "model.keras"
SETTINGS_FILE = "config.json"
# The same model converted to run without TensorFlow; see serving/litert.py.
LIGHT_FILE = "step.tflite"
LIGHT_WEIGHTS = ("float32", "float16", "int8")


def __getattr__(name: str) -> Any:
    """Imports a public name on first use (PEP 562)."""
    if name in __all__:
        module = importlib.import_module("poph_tf.models.polyphony_model")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names of the package, whether imported yet or not."""
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "importlib"})
