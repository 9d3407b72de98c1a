"""Writes a model to a folder that `Composer.from_pretrained` reads.

model.keras   weights, with the model's settings in them
config.json   settings, and provenance of the training if known
step.tflite   the converted form, if there is one
card.md       for people, and card.json for programs if the model has one
"""

import os
import pathlib
from typing import TYPE_CHECKING

from poph_tf import files
from poph_tf.config import ModelConfig
from poph_tf.models import LIGHT_FILE, SETTINGS_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from poph_tf.models.polyphony_model import PolyphonyModel

Path = str | os.PathLike[str]
CARD = "card.md"
FILES = (WEIGHTS_FILE, SETTINGS_FILE, LIGHT_FILE, CARD, "card.json")


def save(model: "PolyphonyModel | Path", config: ModelConfig, folder: Path) -> None:
    """Writes a model.

    Args:
        model: in memory, or its path: a folder or a `.keras` file.
        config: its settings.
        folder: created if missing; files of a model in it are replaced.

    Raises:
        InputError: If the model cannot be read or the folder cannot be written.
    """
    folder = files.ready_folder(folder)
    is_path = isinstance(model, str | os.PathLike)
    source = pathlib.Path(model) if is_path else None
    if source and source.is_dir():
        _copy(source, folder)
    else:
        _write(model, folder)
    if not (folder / CARD).exists():
        files.write(folder / CARD, card(folder.name, config))


def _copy(source: pathlib.Path, folder: pathlib.Path) -> None:
    if source.resolve() == folder.resolve():
        return
    _remove_other_model(folder)
    for name in FILES:
        if (source / name).exists():
            files.write_output(folder / name, (source / name).read_bytes())


def _remove_other_model(folder: pathlib.Path) -> None:
    """Removes old files first, so that a kill cannot leave two models mixed."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def _write(model: "PolyphonyModel | Path", folder: pathlib.Path) -> None:
    from poph_tf import models

    loaded = models.load(model) if isinstance(model, str | os.PathLike) else model
    _remove_other_model(folder)
    models.save(loaded, folder)
    files.write_json(folder / SETTINGS_FILE, {"model": loaded.config.to_dict()})


def card(name: str, config: ModelConfig) -> str:
    """A card for a model without one: its settings, and how to load it."""
    tracks = ", ".join(track.name for track in config.tracks) or "all in one"
    return f"""# {name}

A network of poph_tf that composes polyphonic music.

| | |
|---|---|
| preset | {config.preset} |
| styles | {", ".join(config.styles)} |
| tracks | {tracks} |
| pitches | {config.min_pitch} to {config.max_pitch} |

```python
import poph_tf

composer = poph_tf.Composer.from_pretrained("{name}")
piece = composer.compose(num_bars=8, seed=1)
```
"""
