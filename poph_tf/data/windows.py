"""Cuts a piece into windows, transposed and cropped to the model's pitches.

For a model with tracks, a window continues for `AHEAD` steps beyond its end: what is
given there can be known in advance.
"""

import tensorflow as tf

from poph_tf import theory
from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.data import beat_chords, given, keys, returning
from poph_tf.data import cells as cells_lib

# Nothing here branches on a tensor, so AutoGraph has nothing to rewrite.
_as_written = tf.autograph.experimental.do_not_convert

# The largest possible transposition before the crop to the model's pitches.
MARGIN = 48
# Steps beyond a window's end for which the given notes are known.
AHEAD = 64
# Of the windows for models with tracks: the share without the length of the piece, the
# share without its key, and the share with given notes not known in advance.
UNKNOWN_LENGTH, NO_KEY, NO_LOOK_AHEAD = 1 / 3, 0.2, 0.1
# The share without the bars it returns to.
NO_FORM = 0.25
# The share without its chords.
NO_CHORDS = 0.2
# Of the pieces whose last bar is incomplete, as after a pickup: the share whose last
# chord is held to its end. Composed pieces end with a whole bar.
HELD_TO_THE_BAR_LINE = 0.7
# Of the windows with a key: the share that begins in another one. What a network
# composes wanders; here it learns to come back to the key that it is given.
ASTRAY = 0.4
Tensors = dict[str, tf.Tensor]


def cut(
    piece: Tensors, seed: tf.Tensor, model: ModelConfig, training: TrainingConfig
) -> tf.data.Dataset:
    """Cuts one piece into windows at a random phase.

    Args:
        piece: `cells` uint8 [time, (track,) 128, 3], `bar_position`, `style` (its
            index) and `id`.
        seed: int64 [2].
        model: the model's settings.
        training: the settings of the training.

    Returns:
        Dicts of `frames` (the one before the window first), `bar_position`, `length`,
        `style`, `id`, `start`; for a model with tracks also `bars_left`, `given`,
        `looks_ahead`, and `key` and `returns` if the model reads them.
    """
    if model.bars_left and model.tracks:
        held = _uniform(seed, 5) < HELD_TO_THE_BAR_LINE
        piece = piece | held_to_the_bar_line(piece, held)
    steps = training.window_steps
    reach = steps + (AHEAD if model.tracks else 0)
    edges = _edges(tf.shape(piece["cells"])[0], steps, seed)
    frames = tf.concat([tf.zeros_like(piece["cells"][:1]), piece["cells"]], axis=0)
    left = bars_left(piece["bar_position"])
    key = _key(piece["cells"], model) if model.key else theory.UNKNOWN
    chords = _chords(piece, model) if model.chords else None

    def window(k: tf.Tensor) -> Tensors:
        start, end = edges[k], edges[k + 1]
        stop = tf.minimum(end + reach - steps, edges[-1])
        seen, positions = frames[start : stop + 1], piece["bar_position"][start:stop]
        own_seed = _fold(seed, k)
        shift = _draw_shift(own_seed, seen, model, training)
        made = {
            "frames": _fit(_crop(seen, shift, model), reach + 1),
            "bar_position": _fit(positions, reach),
            "length": end - start,
            "start": start,
            **{name: piece[name] for name in ("style", "id")},
            **_task(own_seed, positions, left[start:stop], model, reach),
        }
        if model.form:
            told = _uniform(own_seed, 9) >= NO_FORM
            made["returns"] = _fit_told(told, _returns(seen, positions), reach)
        if not model.key:
            return made
        if chords is not None:
            told = _uniform(own_seed, 10) >= NO_CHORDS
            made["chord"] = _fit_told(told, chords[start:stop], reach)
        other_shift = _draw_shift(_fold(own_seed, 6), seen, model, training)
        other = _fit(_crop(seen, other_shift, model), reach + 1)
        return made | _told_key(own_seed, key, made, (shift, other_shift), other)

    places = tf.data.Dataset.range(tf.size(edges, tf.int64) - 1, output_type=tf.int32)
    return places.map(_as_written(window))


def _edges(length: tf.Tensor, steps: int, seed: tf.Tensor) -> tf.Tensor:
    """Where windows of a piece begin and end.

    Every window of a piece that is cut has between half of `steps` and all of them: a
    shorter one teaches little, and in a batch of short ones each step would count more
    than elsewhere.

    Args:
        length: int32 scalar, steps of the piece.
        steps: the most steps in a window.
        seed: int64 [2].

    Returns:
        int32 [windows + 1], from 0 to `length`.
    """
    phase = tf.random.stateless_uniform([], seed, 0, (steps + 1) // 2, tf.int32)
    phase = tf.where(length > steps, phase, 0)
    num_windows = tf.maximum(-(-(length + phase) // steps), 1)
    inner = tf.range(1, num_windows) * steps - phase
    before = tf.concat([[0], inner], axis=0)
    # A last window that is too short shares evenly with the one before.
    last = tf.where(
        length - before[-1] < (steps + 1) // 2,
        (before[tf.maximum(num_windows - 2, 0)] + length) // 2,
        before[-1],
    )
    last = tf.where(num_windows > 1, last, 0)
    return tf.concat([before[:-1], [last, length]], axis=0)


def held_to_the_bar_line(piece: Tensors, held: tf.Tensor | bool = True) -> Tensors:
    """Holds the last chord until the last bar is as long as the one before.

    Args:
        piece: `cells` uint8 [time, (track,) pitch, channel] and `bar_position`.
        held: whether to do so, a scalar.

    Returns:
        The new `cells` and `bar_position`.
    """
    cells, position = piece["cells"], piece["bar_position"]
    missing = _missing_steps(tf.cast(position, tf.int32))
    steps = tf.range(1, 1 + missing * tf.cast(held, tf.int32))
    last = cells[-1:] * tf.constant([1, 0, 1], cells.dtype)
    chord = tf.repeat(last, tf.size(steps), axis=0)
    after = position[-1:] + tf.cast(steps, position.dtype)
    return {
        "cells": tf.concat([cells, chord], axis=0),
        "bar_position": tf.concat([position, after], axis=0),
    }


def _missing_steps(bar_position: tf.Tensor) -> tf.Tensor:
    """How many steps the last bar lacks compared to the one before; int32 scalar."""
    last = bar_position[-1]
    ends = tf.where(bar_position[1:] == 0)[:, 0]
    before = tf.concat([last[None], tf.gather(bar_position, ends)], 0)[-1]
    return tf.maximum(before - last, 0)


def bars_left(bar_position: tf.Tensor) -> tf.Tensor:
    """`Matrices.bars_left` in the graph; int32 [time]."""
    lines = tf.cast(tf.equal(bar_position, 0), tf.int32)
    return tf.cumsum(lines, exclusive=True, reverse=True)


def _task(
    seed: tf.Tensor,
    bar_position: tf.Tensor,
    bars_left: tf.Tensor,
    model: ModelConfig,
    reach: int,
) -> Tensors:
    """The inputs for models with tracks about given notes and the end of the piece."""
    if not model.tracks:
        return {}
    told = _uniform(seed, 1) >= UNKNOWN_LENGTH
    drawn = given.draw(bar_position, len(model.tracks), _fold(seed, 2))
    return {
        "bars_left": _fit_told(told, bars_left, reach),
        "given": _fit(drawn, reach),
        "looks_ahead": tf.cast(_uniform(seed, 3) >= NO_LOOK_AHEAD, tf.float32),
    }


def _key(cells: tf.Tensor, model: ModelConfig) -> tf.Tensor:
    """The key of a whole piece, from all its tracks but drums; int32 scalar."""
    play = tf.gather(cells[..., 0], _pitched(model), axis=1)
    return keys.find_key(tf.reduce_max(play, axis=1))


def _pitched(model: ModelConfig) -> list[int]:
    return [k for k, track in enumerate(model.tracks) if not track.is_drum]


def _told_key(
    seed: tf.Tensor,
    key: tf.Tensor,
    window: Tensors,
    shifts: tuple[tf.Tensor, tf.Tensor],
    other: tf.Tensor,
) -> Tensors:
    """The inputs of a window about the key of its piece, transposed with it.

    Args:
        seed: the seed of the window.
        key: int32 scalar, the key of the piece.
        window: from `cut`, without a key.
        shifts: semitones of the window, and of `other`.
        other: the window's frames, transposed otherwise; some windows begin with these.

    Returns:
        `key` int32 [time], `frames`, `given`, and `returns` if it is there. In the step
        where the transposition changes all tracks are given, so that the leap is not
        learned.
    """
    told = _uniform(seed, 4) >= NO_KEY
    astray = told & (_uniform(seed, 7) < ASTRAY)
    at = tf.cast(_uniform(seed, 8) * tf.cast(window["length"], tf.float32), tf.int32)
    at = tf.where(astray, at, 0)
    steps = tf.range(tf.shape(window["given"])[0])
    keys_told = tf.where(steps < at, *(_moved(key, s) for s in shifts[::-1]))
    before = tf.range(-1, tf.size(steps)) < at
    leap = tf.cast((steps == at) & astray, tf.float32)[:, None]
    form = {}
    if "chord" in window:
        moved = (_moved(window["chord"], s) for s in shifts[::-1])
        form["chord"] = tf.where(steps < at, *moved)
    if "returns" in window:
        # What returns from before the leap would return in another key.
        returns = window["returns"]
        across = (steps >= at) & (steps - returns < at) & (returns > 0)
        form["returns"] = tf.where(across, theory.UNKNOWN, returns)
    return form | {
        "key": tf.where(told, keys_told, theory.UNKNOWN),
        "frames": tf.where(
            tf.reshape(before & (at > 0), (-1, 1, 1, 1)), other, window["frames"]
        ),
        "given": tf.maximum(window["given"], leap),
    }


def _chords(piece: Tensors, model: ModelConfig) -> tf.Tensor:
    """The chord of each beat, from all tracks but drums; int32 [time]."""
    play = tf.gather(piece["cells"][..., 0], _pitched(model), axis=1)
    return beat_chords.find_chords(play, tf.cast(piece["bar_position"], tf.int32))


def _returns(frames: tf.Tensor, bar_position: tf.Tensor) -> tf.Tensor:
    """`returning.find_returns` of a window, from all its tracks; int32 [time]."""
    onsets = cells_lib.struck(frames[1:], frames[:-1])
    found = tf.numpy_function(
        returning.find_returns, [onsets, bar_position], tf.int32, stateful=False
    )
    return tf.ensure_shape(found, [None])


def _moved(key: tf.Tensor, shift: tf.Tensor | int) -> tf.Tensor:
    tonic = (key + shift) % theory.NUM_PITCH_CLASSES
    return tf.where(
        key >= 0, key - key % theory.NUM_PITCH_CLASSES + tonic, theory.UNKNOWN
    )


def task_inputs(batch: Tensors, steps: tf.Tensor, part: int) -> Tensors:
    """The inputs that only models with tracks have.

    Args:
        batch: windows of `cut`, in batches.
        steps: the length of the longest window.
        part: the number of steps is a multiple of it, unless it is the maximum.

    Returns:
        `bars_left` and, if the model has them, `key` and `returns` int32 [batch,
        time], -1 where unknown; `given` float32 [batch, time, track]; `looks_ahead`
        float32 [batch], 0 where what is given is not known in advance. `time` is
        `steps` plus as many more, up to `AHEAD`, as show what is given after a window's
        end, where the piece continues without a gap.
    """
    reach = batch["given"].shape[1]
    is_given = tf.reduce_any(batch["given"] > 0, axis=[0, 2])
    last = tf.reduce_max(tf.where(is_given, tf.range(1, reach + 1), 0))
    steps = tf.minimum(tf.maximum(-(-last // part) * part, steps), reach)
    known: Tensors = {
        name: batch[name][:, :steps]
        for name in ("bars_left", "key", "chord", "returns", "given")
        if name in batch
    }
    return {**known, "looks_ahead": batch["looks_ahead"]}


def _draw_shift(
    seed: tf.Tensor, frames: tf.Tensor, model: ModelConfig, training: TrainingConfig
) -> tf.Tensor | int:
    """Semitones that take no voice out of the model's range if it lies within it."""
    low, high = training.min_transpose, training.max_transpose
    voices = [k for k, track in enumerate(model.tracks) if track.voice]
    if voices:
        used = tf.reduce_any(tf.gather(frames[..., 0], voices, axis=1) > 0, axis=[0, 1])
        pitches = tf.cast(tf.where(used)[:, 0], tf.int32)
        # Silence, and voices wider than the model's range, may move anywhere.
        least = model.min_pitch - tf.reduce_min(pitches)
        most = model.max_pitch - tf.reduce_max(pitches)
        fits = (tf.size(pitches) > 0) & (least <= most)
        low = tf.where(fits, tf.clip_by_value(low, least, most), low)
        high = tf.where(fits, tf.clip_by_value(high, least, most), high)
    elif low == high:
        return low
    return tf.random.stateless_uniform([], seed, low, high + 1, tf.int32)


def _fold(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)


def _uniform(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.stateless_uniform([], _fold(seed, number))


def _crop(cells: tf.Tensor, shift: tf.Tensor | int, config: ModelConfig) -> tf.Tensor:
    """Transposes [time, (track,) 128, 3] and keeps the model's pitches."""
    other = [[0, 0]] * (len(cells.shape) - 2)
    padded = tf.pad(cells, [*other, [MARGIN, MARGIN], [0, 0]])
    start = config.min_pitch - shift + MARGIN
    cropped = padded[..., start : start + config.num_pitches, :]
    return tf.ensure_shape(cropped, (None, *cells.shape[1:-2], config.num_pitches, 3))


def _fit(x: tf.Tensor, steps: int, value: int = 0) -> tf.Tensor:
    """Pads the time axis to `steps`."""
    missing = steps - tf.shape(x)[0]
    paddings = [[0, missing]] + [[0, 0]] * (len(x.shape) - 1)
    filled = tf.pad(x, paddings, constant_values=value)
    return tf.ensure_shape(filled, (steps, *x.shape[1:]))


def _fit_told(told: tf.Tensor, x: tf.Tensor, steps: int) -> tf.Tensor:
    """`_fit` of an input, or of unknowns if it is withheld."""
    return _fit(tf.where(told, x, theory.UNKNOWN), steps, theory.UNKNOWN)
