"""A network that reads the form learns from files, with all threads."""

import math

import smf
import tensorflow as tf
from collections_of_songs import prepared

from poph_tf import config
from poph_tf.data import dataset
from poph_tf.models import presets
from poph_tf.training import trainer as trainer_lib

PARTS = {"high": (72, 74, 76, 77), "low": (48, 50, 47, 45)}
QUARTERS = 64


def song(shift):
    """A MIDI file of two parts whose first half comes back."""
    tracks = []
    for channel, (name, pitches) in enumerate(PARTS.items()):
        events = [(0, 0xFF, 3, len(name), *name.encode())]
        for k in range(QUARTERS):
            pitch = pitches[(k + k // 7 * (k % 32) + shift) % 4] + shift
            events.append(smf.on(480 * k, pitch, channel=channel))
            events.append(smf.off(480 * (k + 1), pitch, channel=channel))
        tracks.append(events)
    return smf.file(*tracks)


def test_windows_that_are_told_the_form_are_learnt(tmp_path):
    folder = tmp_path / "songs" / "duets"
    folder.mkdir(parents=True)
    for shift in range(12):
        (folder / f"{shift}.mid").write_bytes(song(shift))
    prepared(tmp_path / "songs", tmp_path / "data", tracks=tuple(PARTS))
    sizes = {f"num_{name}_units": 8 for name in ("time", "track", "pitch")}
    info, _ = dataset.open_split(tmp_path / "data", "train")
    # The sizes with which TensorFlow crashed in a batched product.
    made = trainer_lib.Trainer(
        presets.preset("poph3", form=True, **sizes).with_data(info),
        config.TrainingConfig(max_steps=2, batch_size=2, window_steps=64),
        str(tmp_path / "data"),
        str(tmp_path / "run"),
        tf.distribute.get_strategy(),
    )
    kernel = made.model.network.returning.kernel
    assert not kernel.numpy().any()
    made.run(report=lambda line: None, on_step=lambda step, sums: None)
    assert kernel.numpy().any() and math.isfinite(kernel.numpy().sum())
