"""poph_tf composes polyphonic music with neural networks.

    import poph_tf

    piece = poph_tf.load("bach").compose(num_bars=8, seed=1)
    piece.save("piece.mid")

The commands are `python -m poph_tf.train`, `evaluate`, `generate`, `export`, `serve`.
Importing the package is quick: each name is imported when it is first used.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poph_tf.config import GenerationConfig, ModelConfig
    from poph_tf.data.matrices import Matrices
    from poph_tf.generation.composer import Composer
    from poph_tf.generation.piece import Piece

__version__ = "0.1.0"
__all__ = ["Composer", "GenerationConfig", "Matrices", "ModelConfig", "Piece", "load"]

_MODULES = {
    "Composer": "poph_tf.generation.composer",
    "GenerationConfig": "poph_tf.config",
    "Matrices": "poph_tf.data.matrices",
    "ModelConfig": "poph_tf.config",
    "Piece": "poph_tf.generation.piece",
}


def load(model: str | os.PathLike[str] | None = None) -> "Composer":
    """Loads a model for composing; see `poph_tf.generation.composer.load`.

    Example:
        >>> load("monteverdi")
        <Composer in monteverdi>
    """
    return _import("poph_tf.generation.composer").load(model)


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import(_MODULES[name]), name)


def __dir__() -> list[str]:
    """The names of the package, whether imported yet or not."""
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "importlib", "os"})


def _import(module: str) -> Any:
    """Imports a module."""
    if module == "poph_tf.generation.composer":
        from poph_tf.cli import quiet

        quiet.ignore_missing_ffmpeg()
    return importlib.import_module(module)
