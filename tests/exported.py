"""A small model and its export, made once per session for the serving tests."""

import functools
import os
import pathlib
import subprocess
import sys
import time

import keras
import numpy as np
import small

STYLES = small.STYLES["styles"]
MAX_STEPS, MAX_BATCH = 64, 4
NUM_PITCHES = small.NUM_PITCHES
BAR_STEPS = 16
MODEL_NAME = "tiny"
SECONDS_TO_WAIT = 600  # for the process that exports


# Calls `serving_default` in a process that cannot import poph_tf.
ELSEWHERE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("poph_tf", "note_seq"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
import numpy as np
import tensorflow as tf

directory, inputs, outputs = sys.argv[1:]
loaded = tf.saved_model.load(directory)
inputs = {k: tf.constant(v) for k, v in np.load(inputs).items()}
found = loaded.signatures["serving_default"](**inputs)
np.savez(outputs, **{k: v.numpy() for k, v in found.items()})
assert not {"poph_tf", "note_seq"} & set(sys.modules)
"""


def call_elsewhere(directory, inputs, folder):
    """Returns outputs of `serving_default` in a process without this package.

    Args:
        directory: path of the SavedModel.
        inputs: arrays by name.
        folder: path of an empty folder.
    """
    paths = [directory, folder / "in.npz", folder / "out.npz"]
    np.savez(paths[1], **inputs)
    command = [sys.executable, "-I", "-c", ELSEWHERE, *map(str, paths)]
    subprocess.run(command, check=True, cwd=folder, timeout=300)
    return np.load(paths[2])


@functools.cache
def model():
    """A shaken model of two styles; attention by frames gives its state a cache."""
    from poph_tf import models

    keras.utils.set_random_seed(3)
    config = small.model_config("attention_by_frames", **small.STYLES)
    return small.shaken(models.build(config), seed=3)


@functools.cache
def export_dir():
    """The directory of version 1, exported by the process that asks first."""
    from poph_tf import serving

    directory = pathlib.Path(os.environ["POPH_TESTS_SHARED"]) / MODEL_NAME
    try:
        directory.mkdir()
    except FileExistsError:
        end = time.monotonic() + SECONDS_TO_WAIT
        # The version appears atomically.
        while not (directory / "1").exists() and time.monotonic() < end:
            time.sleep(0.2)
    else:
        limits = serving.Limits(MAX_STEPS, MAX_BATCH)
        serving.export(model(), directory, limits=limits, settings={"note": "test"})
    return directory


def version_dir():
    return export_dir() / "1"


@functools.cache
def signatures():
    """The signatures of the loaded SavedModel."""
    import tensorflow as tf

    _loaded.append(tf.saved_model.load(str(version_dir())))
    return _loaded[-1].signatures


# A signature alone does not keep its variables alive.
_loaded = []


def compose_inputs(batch=2, num_steps=24, seed=7, **others):
    """Returns inputs of compose: piece k has the seed (seed, k), as in generation."""
    style = np.tile(np.array([0.75, 0.25], np.float32), (batch, 1))
    return {
        "seed": np.array([[seed, piece] for piece in range(batch)], np.int32),
        "num_steps": np.full(batch, num_steps, np.int32),
        "temperature": np.ones(batch, np.float32),
        "style": style,
    } | others


def call(signature, inputs):
    """Runs a signature on arrays; returns arrays."""
    import tensorflow as tf

    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    outputs = signatures()[signature](**tensors)
    return {name: value.numpy() for name, value in outputs.items()}


def roll_of(outputs):
    """Returns uint8 [batch, time, pitch, 3] from play, replay and volume."""
    names = ("play", "replay", "volume")
    return np.stack([outputs[name] for name in names], axis=-1)


def roll_inputs(outputs):
    """Returns the inputs of prefill and score for the output of compose."""
    batch, num_steps = outputs["play"].shape[:2]
    bars = np.tile(np.arange(num_steps, dtype=np.int32) % BAR_STEPS, (batch, 1))
    inputs = {name: outputs[name] for name in ("play", "replay", "volume")}
    return inputs | {"bar_position": bars, "style": compose_inputs(batch)["style"]}


def states(*values):
    return np.array(values or (b"", b""), object)
