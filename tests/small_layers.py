"""One small layer of each kind, and inputs for them."""

import keras
import numpy as np
from small import NUM_PITCHES

from poph_tf.models import layers

# One of each layer with its input names: name -> (layer, inputs).
FEATURES, CHANNELS = 6, 3
LAYERS = {
    "AxisLSTM_time": lambda: (layers.AxisLSTM(4, "time"), ["hidden"]),
    "AxisLSTM_pitch": lambda: (layers.AxisLSTM(4, "pitch"), ["hidden"]),
    "StyleBias": lambda: (layers.StyleBias(0.1), ["hidden", "embedding"]),
    "NoteFeatures_convolution": lambda: (
        layers.NoteFeatures(36, filters=3, width=5, dropout=0.1),
        ["frames", "bar"],
    ),
    "NoteFeatures_window": lambda: (
        layers.NoteFeatures(37, "window", width=5, class_counts="relative"),
        ["frames"],
    ),
    "PitchAttention": lambda: (
        layers.PitchAttention(num_heads=2, head_units=4, dropout=0.1),
        ["hidden"],
    ),
    "PitchAttention_causal": lambda: (
        layers.PitchAttention(causal=True, num_heads=2, head_units=4),
        ["hidden"],
    ),
    "TimeAttention": lambda: (
        layers.TimeAttention(3, num_heads=2, head_units=4),
        ["hidden"],
    ),
    "FrameAttention": lambda: (
        layers.FrameAttention(3, num_heads=2, head_units=4),
        ["hidden", "frames"],
    ),
    "BarsLeft": lambda: (layers.BarsLeft(), ["bars_left"]),
    "StruckNotes": lambda: (layers.StruckNotes(), ["rolls", "rolls_before", "given"]),
    "TrackNotes": lambda: (layers.TrackNotes(5), ["rolls"]),
    "SideBySide": lambda: (layers.SideBySide(), ["rolls"]),
    "LookAhead": lambda: (layers.LookAhead(4), ["notes", "given", "bar"]),
    "TrackContext": lambda: (layers.TrackContext(4, 1), ["notes", "given"]),
    "VoiceLeading": lambda: (
        layers.VoiceLeading(4, 1, [0, 2]),
        ["voices", "voices_before", "given"],
    ),
    "ScaleDegrees": lambda: (layers.ScaleDegrees(4, 38, 14, 9), ["key", "place"]),
    "ReturningBar": lambda: (
        layers.ReturningBar(4, 3),
        ["rolls", "returns"],
    ),
    "AutoregressiveContext": lambda: (
        layers.AutoregressiveContext("window", 5),
        ["frames"],
    ),
    "PitchNade": lambda: (layers.PitchNade(4, 5), ["hidden", "frames"]),
    "Dropout": lambda: (layers.Dropout(0.3), ["hidden"]),
    "HarmonyLoss": lambda: (layers.HarmonyLoss(2.0, 36, "harmonic"), ["play", "mask"]),
}
# The layers whose time axis comes before the batch axis.
TIME_MAJOR_LAYERS = (
    *("SideBySide", "LookAhead", "TrackContext", "VoiceLeading", "ScaleDegrees"),
    "ReturningBar",
)


def layer_inputs(num_rows=2, num_steps=5, num_pitches=NUM_PITCHES, seed=0):
    """Returns inputs for the layers of `LAYERS`, float32 arrays by name."""
    rng = np.random.default_rng(seed)
    grid = (num_rows, num_steps, num_pitches)
    rolls = (*grid[:2], 3, num_pitches, 2)
    pitches = np.eye(num_pitches, dtype=np.float32)
    made = {
        "hidden": rng.normal(size=(*grid, FEATURES)).astype(np.float32),
        "frames": (rng.random((*grid, CHANNELS)) < 0.3).astype(np.float32),
        "bar": np.eye(4, dtype=np.float32)[rng.integers(0, 4, grid[:2])],
        "embedding": rng.normal(size=(num_rows, 3)).astype(np.float32),
        "play": rng.normal(size=grid).astype(np.float32),
        "mask": np.ones(grid[:2], np.float32),
    }
    return made | {
        "rolls": (rng.random(rolls) < 0.3).astype(np.float32),
        "rolls_before": (rng.random(rolls) < 0.3).astype(np.float32),
        "given": (rng.random(rolls[:3]) < 0.5).astype(np.float32),
        "voices": pitches[rng.integers(0, num_pitches, rolls[:3])],
        "voices_before": pitches[rng.integers(0, num_pitches, rolls[:3])],
        "notes": rng.random((*grid, 3, FEATURES)).astype(np.float32),
        "bars_left": rng.integers(-1, 9, grid[:2]).astype(np.float32),
        "key": rng.integers(-1, 24, grid[:2]).astype(np.float32),
        "returns": rng.choice([-1, 0, 2, 3], grid[:2]).astype(np.float32),
        "place": rng.integers(0, 9, grid[:2]).astype(np.float32),
    }


def shaken_layer(layer, *inputs, by=0.5):
    """Builds the layer and changes all its weights, including biases and tables."""
    keras.utils.set_random_seed(7)
    layer(*inputs)
    rng = np.random.default_rng(3)
    for variable in layer.trainable_variables:
        variable.assign(variable.numpy() + by * rng.normal(size=variable.shape))
    return layer
