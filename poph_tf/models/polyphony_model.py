"""Functional Keras models of the presets: built from a config, saved, loaded.

Inputs by name: `previous`, `current` float32 [batch, time, pitch, 3], `bar_position`
int32 [batch, time], `style` float32 [batch, styles], `bars_left`, `key`, `chord` and
`returns` int32 [batch, time] (unknown if left out) and, for the harmony term only,
`mask` float32 [batch, time] (all steps are valid if left out). Models with tracks have
frames [batch, time, track, pitch, 3], `given` float32 [batch, time, track] and
`looks_ahead` float32 [batch] (nothing is given if left out; see `TrackNetwork`).
Outputs by name, float32 [batch, time, (track,) pitch]: `play`, `replay` (logits),
`volume`, if the config has them. Inputs that a model does not use are ignored.
"""

import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from tensorflow import Tensor

from poph_tf import files
from poph_tf.config import ModelConfig
from poph_tf.errors import InputError, one_line
from poph_tf.models import LIGHT_FILE, SETTINGS_FILE, WEIGHTS_FILE, layers, pretrained
from poph_tf.models.network import Network
from poph_tf.models.track_network import TrackNetwork
from poph_tf.theory import UNKNOWN

# Errors that a damaged weights file raises.
_DAMAGE = (
    *(ValueError, OSError, KeyError, TypeError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)

Path = str | os.PathLike[str]
_REGISTERED_NAME = "poph_tf>PolyphonyModel"
# Layers of a network whose tables are counted before training and not trained.
COUNTED = ("chord_progression", "voice_ranges")
# What a folder without weights may be, by a file in it, and what to do.
_OTHER_FOLDERS = {
    "dataset_info.json": "it is a data set: train on it, with python -m "
    "poph_tf.train --data_dir",
    LIGHT_FILE: "it is a converted model: give the directory it was converted from",
}
_OTHER_FOLDERS |= dict.fromkeys(
    ("saved_model.pb", "*/saved_model.pb"),
    "it is a SavedModel export: serve it with TensorFlow Serving, or with python -m "
    "poph_tf.serve --export_dir",
)
_TRAIN = "train a model there first, with python -m poph_tf.train --model_dir"


@keras.saving.register_keras_serializable(package="poph_tf")
class PolyphonyModel(keras.Model):
    """A functional model with its config, made by `build`.

    Attributes:
        config: The settings of the model.
        network: Its stages, for running with state.

    Example:
        >>> model = build(ModelConfig(num_time_units=4, num_pitch_units=4))
        >>> [tensor.name for tensor in model.inputs]
        ['bar_position', 'current', 'previous', 'style']
    """

    def __init__(
        self,
        network: Network,
        inputs: Mapping[str, keras.KerasTensor],
        outputs: Mapping[str, keras.KerasTensor],
    ) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=network.config.preset)
        self.network = network
        # Part of the weights, but not of the training graph.
        both = (getattr(network, name, None) for name in COUNTED)
        self.counted: list[Any] = [layer for layer in both if layer]

    @property
    def config(self) -> ModelConfig:
        """The settings of the model."""
        return self.network.config

    def __call__(self, inputs: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Calls the model on the inputs that it uses."""
        return super().__call__(self.own_inputs(inputs), *args, **kwargs)

    def own_inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs that the model uses, with defaults for those left out."""
        names = [tensor.name for tensor in self.inputs]
        given = {**_defaults(inputs["previous"]), **inputs}
        given = {name: value for name, value in given.items() if value is not None}
        missing = [name for name in names if name not in given]
        if missing:
            raise ValueError(f"{self.name} needs inputs {names}, lacks {missing}.")
        return {name: given[name] for name in names}

    def get_config(self) -> dict[str, Any]:
        """Returns the settings of the model as JSON values."""
        return {"config": self.config.to_dict()}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Any = None
    ) -> "PolyphonyModel":
        """Builds a model from what `get_config` returned."""
        return build(ModelConfig.from_dict(config["config"]))


def build(config: ModelConfig) -> PolyphonyModel:
    """Builds a model from a config, with new weights.

    Raises:
        InputError: If it reads the key, chords or the form without what these need.

    Example:
        >>> sizes = {"num_time_units": 4, "num_pitch_units": 4, "style_units": 0}
        >>> model = build(ModelConfig(**sizes, bar_positions=0))
        >>> frames = np.zeros((1, 2, 48, 3), np.float32)
        >>> model({"previous": frames, "current": frames})["play"].shape
        TensorShape([1, 2, 48])
    """
    if config.key and not config.tracks:
        raise InputError(
            "Only models with tracks read the key: prepare the data with --tracks, or "
            "leave key=true out."
        )
    if config.chords and not (
        config.key and any(track.voice for track in config.tracks)
    ):
        raise InputError(
            "Only models with tracks that read the key, one of them a voice, draw "
            "chords: add key=true, or leave chords=true out."
        )
    if config.form and (not config.tracks or config.time_attention != "frames"):
        raise InputError(
            "Only models with tracks and time_attention=frames read the form, got "
            f"{len(config.tracks)} tracks and {config.time_attention}: leave form=true "
            "out."
        )
    network = TrackNetwork(config) if config.tracks else Network(config)
    inputs = _symbolic_inputs(config)
    hidden, _ = network.time_axis(inputs)
    outputs = network.pitch_axis(hidden, inputs)
    if config.harmony_weight:
        harmony = layers.HarmonyLoss(
            config.harmony_weight,
            config.min_pitch,
            config.minor_scale,
            name="harmony_loss",
            dtype="float32",
        )
        outputs["play"] = harmony(outputs["play"], inputs["mask"])
    return PolyphonyModel(network, inputs, outputs)


def _defaults(previous: Any) -> dict[str, Any]:
    """Defaults of optional inputs: all steps valid, nothing given or known."""
    # Keras takes arrays or tensors, but not both in one call.
    xp = np if isinstance(previous, np.ndarray) else ops
    cell = previous[..., 0, 0]
    step = cell[:, :, 0] if len(cell.shape) == 3 else cell
    unknown = xp.full_like(step, UNKNOWN, dtype="int32")
    return {
        "mask": xp.ones_like(step),
        "given": xp.zeros_like(cell),
        "looks_ahead": xp.ones_like(step[:, 0]),
        **dict.fromkeys(("bars_left", "key", "chord", "returns"), unknown),
    }


def _symbolic_inputs(config: ModelConfig) -> dict[str, Tensor]:
    step, tracks = (None,), (len(config.tracks),) if config.tracks else ()
    frame = (*step, *tracks, config.num_pitches, 3)
    # Name, whether the model has it, shape, and the type if it is not float.
    table: tuple[tuple[str, Any, tuple, str | None], ...] = (
        ("previous", True, frame, None),
        ("current", True, frame, None),
        ("bar_position", config.bar_positions, step, "int32"),
        ("given", config.tracks, (*step, *tracks), None),
        ("looks_ahead", config.tracks and config.look_ahead_units, (), None),
        ("bars_left", config.bars_left, step, "int32"),
        ("key", config.key, step, "int32"),
        ("chord", config.chords, step, "int32"),
        ("returns", config.form, step, "int32"),
        ("style", config.style_units, (len(config.styles),), None),
        ("mask", config.harmony_weight, step, None),
    )
    return {
        name: keras.Input(shape, dtype=dtype, name=name)
        for name, has, shape, dtype in table
        if has
    }


def save(model: PolyphonyModel, model_dir: Path) -> None:
    """Writes the weights and the config of a model as `model.keras`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(build(ModelConfig(num_time_units=4, num_pitch_units=4)), folder)
        ...     os.listdir(folder)
        ['model.keras']
    """
    with files.replacing(pathlib.Path(model_dir) / WEIGHTS_FILE) as partial:
        model.save(partial)


def load(model_dir: Path) -> PolyphonyModel:
    """Loads a model from a directory written by `poph_tf.train`, or a pretrained one.

    Args:
        model_dir: A directory with `model.keras`, a `.keras` file, or the name of a
            pretrained model.

    Returns:
        The model, in float32.

    Raises:
        InputError: If there is no model, or it cannot be read.

    Example:
        >>> load("scores").config.styles
        ('bach', 'monteverdi', 'ryansMammoth', 'trecento')
    """
    # Create only our own class from a stranger's file, never one that the file names.
    config = read_config(model_dir)
    path = _weights_path(model_dir)
    try:
        model = keras.saving.load_model(path, safe_mode=True)
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged: {one_line(error)[:200]}") from error
    if not isinstance(model, PolyphonyModel) or model.config != config:
        raise InputError(f"{path} is a Keras model, but not one of poph_tf.")
    return model


def read_config(model_dir: Path) -> ModelConfig:
    """Reads only the config of the model that `load` would load.

    Raises:
        InputError: If there is no model, or it cannot be read.

    Example:
        >>> read_config("chorales").preset
        'poph3'
    """
    path = _weights_path(model_dir)
    try:
        with zipfile.ZipFile(path) as file:
            stored = json.loads(file.read("config.json"))
        if stored["registered_name"] != _REGISTERED_NAME:
            raise InputError(f"{path} is not a model of poph_tf but of another class.")
        return ModelConfig.from_dict(stored["config"]["config"])
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path} is damaged, or is not a model of poph_tf: {error}"
        ) from error
    except _DAMAGE as error:
        raise InputError(f"{path} is not a model of poph_tf: {error}") from error


def _weights_path(model_dir: Path) -> pathlib.Path:
    path = pretrained.resolve(model_dir)
    if path.suffix != ".keras":
        path /= WEIGHTS_FILE
    if not path.parent.is_dir():
        raise InputError(f"There is no model directory '{path.parent}'.")
    if not path.exists():
        folder, others = path.parent, _OTHER_FOLDERS.items()
        hints = [hint for pattern, hint in others if any(folder.glob(pattern))]
        raise InputError(f"{folder} holds no {WEIGHTS_FILE}: {(*hints, _TRAIN)[0]}.")
    return path


def read_settings(model_dir: Path) -> dict[str, Any]:
    """Reads `config.json`: settings and provenance of a model directory.

    Raises:
        InputError: If there is no such file, or it cannot be read.

    Example:
        >>> read_settings("scores")["training"]["optimizer"]
        'muon'
    """
    folder = pretrained.resolve(model_dir)
    if folder.suffix == ".keras" and not folder.is_dir():
        folder = folder.parent
    path = folder / SETTINGS_FILE
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{model_dir} has no {SETTINGS_FILE}.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged: {error}.") from None
