"""The networks that are measured: presets with random weights."""

import pathlib

from poph_tf import config, models
from poph_tf.config.tracks import CHOIR
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.serving import litert


def build(preset: str) -> PolyphonyModel:
    """A preset with random weights; `poph3` has the four voices of a choir."""
    tracks = CHOIR if preset == "poph3" else ()
    return models.build(config.preset(preset, tracks=tracks))


def converted(preset: str, folder: pathlib.Path) -> pathlib.Path:
    """A folder, below `folder`, of the preset converted to LiteRT."""
    (folder / "model").mkdir()
    models.save(build(preset), folder / "model")
    (folder / "model" / models.SETTINGS_FILE).write_text("{}")
    return litert.export(folder / "model", folder / "light")
