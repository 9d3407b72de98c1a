"""Functional Keras models of the presets: built from a config, saved, loaded.

Inputs, a dict: `previous`, `current` float32 [batch, time, pitch, 3], `bar_position`
int32 [batch, time], `style` float32 [batch, styles], and, for the harmony term only,
`mask` float32 [batch, time] (all valid where it is not given). Outputs, a dict of
float32 [batch, time, pitch]: `play`, `replay` (logits), `volume`, as far as the config
has them. Inputs that a model lacks are accepted and ignored.
"""

import json
import os
import zipfile
import zlib

import keras
import numpy as np
from keras import ops

from poph_tf import files
from poph_tf.config import ModelConfig
from poph_tf.errors import InputError
from poph_tf.models import SETTINGS_FILE, WEIGHTS_FILE, layers, pretrained
from poph_tf.models.network import Network


@keras.saving.register_keras_serializable(package="poph_tf")
class PolyphonyModel(keras.Model):
    """A functional model that knows its config; made by `build`.

    Attributes:
        config: ModelConfig.
        network: Network, the stages, for running with state.
    """

    def __init__(self, network, inputs, outputs):
        super().__init__(inputs=inputs, outputs=outputs, name=network.config.preset)
        self.network = network

    @property
    def config(self):
        return self.network.config

    def __call__(self, inputs, *args, **kwargs):
        return super().__call__(self._own_inputs(inputs), *args, **kwargs)

    def _own_inputs(self, inputs):
        names = [tensor.name for tensor in self.inputs]
        given = dict(inputs)
        if "mask" in names and given.get("mask") is None:
            like = given["previous"][:, :, 0, 0]
            # Keras takes arrays or tensors, but not both in one call.
            ones_like = np.ones_like if isinstance(like, np.ndarray) else ops.ones_like
            given["mask"] = ones_like(like)
        missing = [name for name in names if name not in given]
        if missing:
            raise ValueError(f"{self.name} needs inputs {names}, lacks {missing}.")
        return {name: given[name] for name in names}

    def get_config(self):
        return {"config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return build(ModelConfig.from_dict(config["config"]))


def build(config):
    """Builds the model of a `ModelConfig`, with fresh weights.

    Args:
        config: ModelConfig.

    Returns:
        PolyphonyModel, a keras.Model.
    """
    network = Network(config)
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


def _symbolic_inputs(config):
    frame = (None, config.num_pitches, 3)
    inputs = {
        "previous": keras.Input(frame, name="previous"),
        "current": keras.Input(frame, name="current"),
    }
    if config.bar_positions:
        inputs["bar_position"] = keras.Input(
            (None,), dtype="int32", name="bar_position"
        )
    if config.style_units:
        inputs["style"] = keras.Input((len(config.styles),), name="style")
    if config.harmony_weight:
        inputs["mask"] = keras.Input((None,), name="mask")
    return inputs


def save(model, model_dir):
    """Writes the model's weights, with its config in them, as `model.keras`."""
    with files.replacing(os.path.join(model_dir, WEIGHTS_FILE)) as partial:
        model.save(partial)


def load(model_dir):
    """Loads the model of a directory that `poph_tf.train` wrote, or of the package.

    Args:
        model_dir: str. Directory with `model.keras`, the path of a `.keras` file, or
            the name of a pretrained model.

    Returns:
        PolyphonyModel in float32.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    path = _weights_path(model_dir)
    try:
        model = keras.saving.load_model(path, safe_mode=True)
    except (
        ValueError,
        OSError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(f"{path} is no model of poph_tf: {error}") from error
    if not isinstance(model, PolyphonyModel):
        raise InputError(f"{path} is another Keras model, none of poph_tf.")
    return model


def read_config(model_dir):
    """Reads only the ModelConfig of what `load` loads; no TensorFlow runs for it.

    Args:
        model_dir: str, as of `load`.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    path = _weights_path(model_dir)
    try:
        with zipfile.ZipFile(path) as file:
            stored = json.loads(file.read("config.json"))
        return ModelConfig.from_dict(stored["config"]["config"])
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no model of poph_tf: {error}") from error


def _weights_path(model_dir):
    path = pretrained.resolve(model_dir)
    if not path.endswith(".keras"):
        path = os.path.join(path, WEIGHTS_FILE)
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise InputError(f"There is no model directory {os.path.dirname(path)!r}.")
    if not os.path.exists(path):
        raise InputError(
            f"{os.path.dirname(path) or '.'} holds no {WEIGHTS_FILE}: train a model "
            f"there first, with python -m poph_tf.train --model_dir."
        )
    return path


def read_settings(model_dir):
    """Reads `config.json`: settings and provenance of a model directory, a dict."""
    folder = pretrained.resolve(model_dir)
    if folder.endswith(".keras") and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    path = os.path.join(folder, SETTINGS_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise InputError(f"{model_dir} has no {SETTINGS_FILE}.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged: {error}.") from None
