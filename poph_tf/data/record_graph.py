"""Reads records (see `data/examples.py`) in a TensorFlow graph."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from poph_tf.config import Track
from poph_tf.data.matrices import NUM_PITCHES

_TEXTS = ("style", "source", "id")


def parse(serialized: tf.Tensor, tracks: Sequence[Track] = ()) -> dict[str, tf.Tensor]:
    """Decodes a record.

    Args:
        serialized: tf.string scalar.
        tracks: the tracks to take, by name; a record of merged tracks can take the
            place of a single one. None takes all tracks merged.

    Returns:
        `cells` uint8 [time, 128, 3], or [time, track, 128, 3] if there are tracks,
        `bar_position` uint8 [time], `length` int32, `tempo_qpm` float32, `style`, `id`,
        `source` string scalars.
    """
    several = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    single = tf.io.FixedLenFeature([], tf.string)
    features = dict.fromkeys((*_TEXTS, "bar_position"), single)
    rolls = ("play", "replay", "volume")
    features |= dict.fromkeys(rolls, several if tracks else single)
    if tracks:
        features["track_name"] = several
    features["length"] = tf.io.FixedLenFeature([], tf.int64)
    features["tempo_qpm"] = tf.io.FixedLenFeature([], tf.float32)
    parsed = tf.io.parse_single_example(serialized, features)
    # One roll for each track of the record.
    columns = [tf.reshape(parsed.pop(name), [-1]) for name in rolls]
    cells = _cells(*columns)
    if tracks:
        order = _order(parsed.pop("track_name"), [track.name for track in tracks])
        cells = tf.transpose(tf.gather(cells, order), [1, 0, 2, 3])
    else:
        cells = cells[0]
    return parsed | {
        "cells": cells,
        "bar_position": tf.io.decode_raw(parsed["bar_position"], tf.uint8),
        "length": tf.cast(parsed["length"], tf.int32),
    }


def _cells(play: tf.Tensor, replay: tf.Tensor, volume: tf.Tensor) -> tf.Tensor:
    """uint8 [track, time, 128, 3] from each channel's bytes (tf.string [track])."""
    # A table of 256 rows of eight bits is faster than shifting each bit down.
    bits = tf.constant(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1))
    octets = (tf.io.decode_raw(channel, tf.uint8) for channel in (play, replay))
    shape = [tf.size(play), -1, NUM_PITCHES]
    play, replay = (
        tf.reshape(tf.gather(bits, tf.cast(octet, tf.int32)), shape) for octet in octets
    )
    places = tf.where(tf.reshape(play, [-1]) > 0)
    velocities = tf.io.decode_raw(tf.strings.reduce_join(volume), tf.uint8)
    volume = tf.scatter_nd(places, velocities, tf.size(play, out_type=tf.int64)[None])
    return tf.stack([play, replay, tf.reshape(volume, tf.shape(play))], axis=-1)


def _order(found: tf.Tensor, wanted: Sequence[str]) -> tf.Tensor:
    """The index of each wanted name among those found (tf.string [track])."""
    if len(wanted) == 1:  # A record without names has one roll.
        found = tf.cond(tf.size(found) > 0, lambda: found, lambda: tf.constant(wanted))
    same = tf.equal(tf.constant(wanted)[:, None], found)
    is_there = tf.reduce_all(tf.reduce_any(same, axis=1))
    check = tf.debugging.Assert(is_there, ["The record lacks a track of", wanted])
    with tf.control_dependencies([check]):
        return tf.argmax(tf.cast(same, tf.int32), axis=1)
