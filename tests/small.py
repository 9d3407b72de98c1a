"""Small models, pieces and data sets for tests, and the lists that feed them.

`VARIANTS` is the one list of networks: every preset, and every option that changes
how layers are connected, in sizes that are quick to build. The list of layers is
`LAYERS` in `small_layers.py`.
"""

import dataclasses
import functools
import pathlib
import re

import keras
import numpy as np

from poph_tf import config
from poph_tf.data import examples, integrity, matrices
from poph_tf.models import presets

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
NUM_PITCHES = 14  # more than an octave, so that classes repeat
SIZES = {
    "num_pitches": NUM_PITCHES,
    "octave_filters": 3,
    "octave_width": 5,
    "window_width": 5,
    "num_heads": 2,
    "head_units": 4,
    "time_attention_steps": 3,
    "num_time_units": 6,
    "num_pitch_units": 5,
    "look_ahead_units": 4,
    "num_track_units": 5,
}
VOICES = tuple(config.Track(name, voice=True) for name in ("soprano", "alto", "bass"))
MELODY_AND_CHORDS = (
    config.Track("melody", voice=True),
    config.Track("piano"),
    config.Track("guitar"),
)
STYLES = {"styles": ("bach", "palestrina"), "style_shares": (0.75, 0.25)}

# name: (preset, settings that differ from it)
VARIANTS = {
    "tp_lstm_nade": ("tp_lstm_nade", {}),
    "tp_lstm_nade_of_all_channels_descending": (
        "tp_lstm_nade",
        {"replay": True, "volume": True, "pitch_order": "descending"},
    ),
    "biaxial": ("biaxial", {}),
    "deepj": ("deepj", {}),
    "poph": ("poph", STYLES),
    "poph2": ("poph2", STYLES),
    "poph3": ("poph3", STYLES),
    "window_of_chosen_notes_descending": (
        "deepj",
        {
            "pitch_context": "window",
            "pitch_order": "descending",
            "recurrent_dropout": 0.25,
        },
    ),
    "attention_after_pitch": ("deepj", {"pitch_attention": "after_pitch"}),
    "attention_in_place_of_pitch": (
        "deepj",
        {"pitch_attention": "in_place_of_pitch"},
    ),
    "attention_in_place_of_pitch_and_window_of_chosen_notes": (
        "deepj",
        {"pitch_attention": "in_place_of_pitch", "pitch_context": "window"},
    ),
    # Axial attention: along pitch, and along time for each pitch.
    "attention_per_pitch": ("poph", {"time_attention": "per_pitch"}),
    "attention_by_frames": ("poph", {"time_attention": "frames"}),
    "attention_everywhere_descending": (
        "deepj",
        {
            "pitch_attention": "after_pitch",
            "time_attention": "per_pitch",
            "pitch_order": "descending",
        },
    ),
    "without_replay_one_layer": (
        "deepj",
        {
            "replay": False,
            "class_counts": "relative",
            "num_time_layers": 1,
            "num_pitch_layers": 1,
        },
    ),
    "without_volume_in_harmonic_minor": (
        "poph",
        {"volume": False, "minor_scale": "harmonic"},
    ),
    "without_style_and_bar": ("deepj", {"style_units": 0, "bar_positions": 0}),
    "attention_before_time_descending": ("poph", {"pitch_order": "descending"}),
    "tp_lstm_nade_with_attention_everywhere": (
        "tp_lstm_nade",
        {"pitch_attention": "before_time", "time_attention": "per_pitch"},
    ),
    "tp_lstm_nade_with_attention_by_frames": (
        "tp_lstm_nade",
        {"time_attention": "frames", "pitch_order": "descending"},
    ),
    "poph2_with_attention_after_pitch_descending": (
        "poph2",
        {"pitch_attention": "after_pitch", "pitch_order": "descending"},
    ),
    "attention_in_place_of_pitch_by_frames_descending": (
        "deepj",
        {
            "pitch_attention": "in_place_of_pitch",
            "time_attention": "frames",
            "pitch_order": "descending",
        },
    ),
    "attention_in_place_of_pitch_and_per_pitch": (
        "deepj",
        {"pitch_attention": "in_place_of_pitch", "time_attention": "per_pitch"},
    ),
    # For the piano-roll benchmarks.
    "poph2_play_only": (
        "poph2",
        {
            "replay": False,
            "volume": False,
            "bar_positions": 0,
            "style_units": 0,
            "input_dropout": 0.0,
            "recurrent_dropout": 0.25,
        },
    ),
    "play_only": (
        "biaxial",
        {"replay": False, "bar_positions": 0, "time_attention": "frames"},
    ),
}

# The networks with tracks.
TRACK_VARIANTS = {
    "voices": ("poph3", {"tracks": VOICES, "key": True, "chords": True, **STYLES}),
    "voices_of_play_only_without_look_ahead": (
        "poph3",
        {
            "tracks": VOICES[:2],
            "replay": False,
            "volume": False,
            "bars_left": False,
            "style_units": 0,
            "pitch_attention": "before_time",
            "look_ahead_units": 0,
        },
    ),
    "voice_and_chords": ("poph3", {"tracks": MELODY_AND_CHORDS, "form": True}),
    "chords_descending": (
        "poph3",
        {
            "tracks": MELODY_AND_CHORDS[1:],
            "pitch_order": "descending",
            "pitch_attention": "before_time",
        },
    ),
    "one_voice": (
        "poph3",
        {"tracks": VOICES[:1], "bars_left": False, "key": True, "chords": True},
    ),
}


def model_config(name, **overrides):
    """Returns the ModelConfig of a variant."""
    preset, differences = (VARIANTS | TRACK_VARIANTS)[name]
    style = {"style_units": min(presets.PRESETS[preset].style_units, 3)}
    return config.preset(preset, **(SIZES | style | differences | overrides))


def shaken(model, seed=0, by=0.3):
    """Changes all weights, so that none is zero and no two units are alike."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        value = variable.numpy()
        variable.assign(value + by * rng.normal(size=value.shape).astype(np.float32))
    for layer in model.counted:
        # Log-probabilities, as if counted in data.
        for variable in layer.weights:
            variable.assign(
                np.log(rng.dirichlet(np.ones(variable.shape[-1]), variable.shape[:-1]))
            )
    return model


@functools.cache
def model(name):
    """Returns the shaken model of a variant; shared: do not change its weights."""
    from poph_tf import models

    keras.utils.set_random_seed(1)
    made = shaken(models.build(model_config(name)))
    # Fresh heads predict silence; tests need about half of all cells to sound.
    heads = made.get_layer("heads")
    heads.bias.assign(0.1 * heads.bias)
    return made


@functools.cache
def coupled_model(pitch_order="ascending", strength=1.0):
    """Returns a `biaxial` of two pitches that depend strongly on each other."""
    from poph_tf import models

    keras.utils.set_random_seed(2)
    config = model_config("biaxial", num_pitches=2, pitch_order=pitch_order)
    made = shaken(models.build(config), seed=3, by=1.0)
    heads = made.get_layer("heads")
    heads.kernel.assign(strength * heads.kernel.numpy())
    heads.bias.assign([0.0, 0.0])
    return made


def log_probability(model, frames):
    """Computes the log-probability of each step of whole pieces given all before it.

    Args:
        model: PolyphonyModel.
        frames: float [piece, time, pitch, 3].

    Returns:
        float [piece, time], of play and replay, from the teacher-forced model.
    """
    from poph_tf.models import losses

    inputs = inputs_of(frames)
    outputs = model(inputs)
    play = frames[..., 0]
    nats = losses.play_nats(play, outputs["play"])
    possible = losses.replay_possible(play, inputs["previous"][..., 0])
    nats += losses.replay_nats(possible, frames[..., 1], outputs["replay"])
    return -np.asarray(nats)


def random_piece(seed, num_steps, low=36, high=50, tempo_qpm=120.0):
    """Returns canonical Matrices with notes from pitch `low` to below `high`."""
    rng = np.random.default_rng(seed)
    cells = np.zeros((num_steps, 128, 3), np.uint8)
    # Noise that changes every other step, so that notes are held and repeated.
    held = rng.random((num_steps // 2 + 1, high - low)) < 0.35
    cells[:, low:high, 0] = np.repeat(held, 2, axis=0)[:num_steps]
    cells[:, low:high, 1] = rng.random((num_steps, high - low)) < 0.3
    cells[:, low:high, 2] = rng.integers(1, 128, (num_steps, high - low))
    bars = (np.arange(num_steps) % 16).astype(np.uint8)
    piece = matrices.Matrices(cells=cells, bar_position=bars, tempo_qpm=tempo_qpm)
    return matrices.canonical(piece)


def frames_of(pieces, low=36, num_pitches=NUM_PITCHES):
    """Stacks pieces of one length, float32 [piece, time, pitch, 3]; volume 0..1."""
    cells = np.stack([piece.cells[:, low : low + num_pitches] for piece in pieces])
    return cells.astype(np.float32) / np.array([1.0, 1.0, 127.0], np.float32)


def inputs_of(frames, bar_steps=16, style=(1.0,)):
    """Returns a model's inputs for whole pieces that start at a bar line."""
    num_rows, num_steps = frames.shape[:2]
    silence = np.zeros_like(frames[:, :1])
    bars = np.tile(np.arange(num_steps) % bar_steps, (num_rows, 1))
    return {
        "previous": np.concatenate([silence, frames[:, :-1]], axis=1),
        "current": frames,
        "bar_position": bars.astype(np.int32),
        "style": np.tile(np.array(style, np.float32), (num_rows, 1)),
        "mask": np.ones((num_rows, num_steps), np.float32),
    }


def write_data_set(folder, splits, styles=("bach",), shards=1):
    """Writes pieces as a data set.

    Args:
        folder: pathlib.Path, made if missing.
        splits: dict from split to a list of Matrices; the pieces cycle through the
            styles.
        styles: tuple of str.
        shards: int. Shards of each split.

    Returns:
        str. The folder.
    """
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    infos, rows = {}, []
    for split, pieces in splits.items():
        names = [examples.shard_name(split, k, shards) for k in range(shards)]
        steps, counts = dict.fromkeys(styles, 0), dict.fromkeys(styles, 0)
        writers = [tf.io.TFRecordWriter(str(folder / name), "GZIP") for name in names]
        for k, piece in enumerate(pieces):
            style = styles[k % len(styles)]
            source = f"{split}/{k}.mid"
            record = examples.serialize(piece, style=style, source=source)
            rows.append((split, examples.content_id(piece), style, source))
            writers[k % shards].write(record)
            steps[style] += len(piece)
            counts[style] += 1
        for writer in writers:
            writer.close()
        infos[split] = examples.SplitInfo(
            shards=tuple(names),
            num_pieces=len(pieces),
            num_steps=sum(steps.values()),
            steps_by_style=steps,
            pieces_by_style=counts,
        )
    info = examples.DatasetInfo(
        format_version=examples.FORMAT_VERSION,
        id=integrity.data_id(rows),
        steps_per_quarter=4,
        styles=tuple(styles),
        splits=infos,
    )
    examples.write_info(info, folder)
    return str(folder)


def without_dropout(model_config):
    """Returns the settings with all dropout off."""
    return dataclasses.replace(
        model_config, dropout=0.0, input_dropout=0.0, recurrent_dropout=0.0
    )


def event_files(folder):
    """Event files, oldest first; in one second, writer 9 comes before writer 10."""
    paths = folder.glob("*.tfevents.*")
    return sorted(paths, key=lambda path: [*map(int, re.findall(r"\d+", path.name))])


def events_in(folder):
    """Returns (step, summary value) of event files, without what TensorBoard drops.

    At a START event, it drops what it has read of that step and of later steps.
    """
    import tensorflow as tf

    found = []
    for path in event_files(folder):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            if event.session_log.status == tf.compat.v1.SessionLog.START:
                found = [(step, value) for step, value in found if step < event.step]
            found += [(event.step, value) for value in event.summary.value]
    return found
