"""All settings, as frozen dataclasses that are passed as arguments.

Each setting is declared once, as a field with its type, bounds or choices, default and
help text (see `declaration.py`); flags, keywords, schemas and the manual's tables come
from there.
"""

from typing import Any

from poph_tf.config.data import DataConfig, ExecutionOptions
from poph_tf.config.declaration import (
    describe,
    json_schema,
    listing,
    parse_overrides,
)
from poph_tf.config.generation import GenerationConfig
from poph_tf.config.live import LiveConfig
from poph_tf.config.model import SINGLE_STYLE, ModelConfig
from poph_tf.config.serving import Limits, ServerConfig
from poph_tf.config.tracks import Track
from poph_tf.config.training import DistributionConfig, TrainingConfig

__all__ = [
    "SINGLE_STYLE",
    "DataConfig",
    "DistributionConfig",
    "ExecutionOptions",
    "GenerationConfig",
    "Limits",
    "LiveConfig",
    "ModelConfig",
    "ServerConfig",
    "Track",
    "TrainingConfig",
    "describe",
    "json_schema",
    "listing",
    "parse_overrides",
    "preset",
]


def preset(name: str, **fields: Any) -> ModelConfig:
    """Returns the `ModelConfig` of a preset with fields replaced.

    Example:
        >>> preset("deepj", num_time_units=128).num_time_units
        128

    Raises:
        InputError: If there is no such preset or field, or a value is invalid.
    """
    from poph_tf.models import presets

    return presets.preset(name, **fields)
