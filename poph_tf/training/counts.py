"""Counts the chord progressions and the voices' ranges in the training music."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from poph_tf.config.tracks import Track
from poph_tf.data import beat_chords, dataset, keys, windows
from poph_tf.data.examples import Piece
from poph_tf.models.layers import chord_progression
from poph_tf.models.layers.chord_progression import (
    LONGEST_RUN,
    MEMORY,
    NUM_DEGREES,
    NUM_MODES,
    ChordProgression,
    before_of,
    entry,
    runs,
)
from poph_tf.models.layers.voice_ranges import VoiceRanges
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.models.track_network import BEATS, LAST_BARS, NUM_PLACES, place_of
from poph_tf.theory import CHORD_KINDS, NUM_PITCH_CLASSES, STEPS_OF_BEAT

# More pieces change the tables little.
MOST_PIECES = 2000
# Weight of a coarser table, in chords, beside those seen in a finer one.
WEIGHT = 5.0
# A note also counts for the pitches around it.
NEAR = np.array([1, 4, 6, 4, 1]) / 16
# Weight of the last bars of a piece that ends within a bar, beside those of one that
# ends with it: the chord that it holds begins the bar, where others still move.
HELD = 0.1
# The count, or least share, of what was never seen.
SELDOM = 1e-3


def count(model: PolyphonyModel, paths: Sequence[str], shifts: Sequence[int]) -> None:
    """Fills all counted tables of a model.

    Args:
        model: a model that draws chords.
        paths: the records that it is trained on.
        shifts: semitones by which training transposes.
    """
    tracks, low = model.config.tracks, model.config.min_pitch
    network: Any = model.network
    pieces = functools.partial(dataset.read_pieces, paths, MOST_PIECES, [])
    count_chords(network.chord_progression, tracks, pieces())
    count_ranges(network.voice_ranges, tracks, low, shifts, pieces())


def count_ranges(
    ranges: VoiceRanges,
    tracks: Sequence[Track],
    min_pitch: int,
    shifts: Sequence[int],
    pieces: Iterable[Piece],
) -> None:
    """Counts the pitches of each voice, and compares them with transposed ones.

    Args:
        ranges: the layer of a model.
        tracks: the model's tracks.
        min_pitch: the model's lowest pitch.
        shifts: semitones by which training transposes.
        pieces: the pieces that it is trained on.
    """
    seen = np.ones((len(tracks), ranges.num_pitches))
    for piece in pieces:
        play = piece.matrices.stack(tracks)[..., 0].sum(axis=0, dtype=np.int64)
        seen += play[:, min_pitch : min_pitch + ranges.num_pitches]
    voices = np.array([track.voice for track in tracks])
    table = np.stack([_seldom(x, shifts) for x in seen])
    ranges.pitches.assign(table * voices[:, None])


def _seldom(seen: np.ndarray, shifts: Sequence[int]) -> np.ndarray:
    """How much rarer each pitch is than in transposed music, log-odds, at most 0.

    Only the register counts, not how common each key is. Away from the commonest
    pitch, values never rise.
    """
    near = np.convolve(seen, NEAR, mode="same")
    most = max(abs(shift) for shift in shifts)
    moved = sliding_window_view(np.pad(near, most), len(near))[::-1]
    moved = moved[np.add(shifts, most)].mean(axis=0)
    ratio = np.log(np.minimum(near / np.maximum(moved, near.min()), 1))
    mode = int(near.argmax())
    above = np.minimum.accumulate(ratio[mode:])
    below = np.minimum.accumulate(ratio[mode::-1])
    return np.concatenate([below[:0:-1], above])


def count_chords(
    progression: ChordProgression, tracks: Sequence[Track], pieces: Iterable[Piece]
) -> None:
    """Fills the tables of a chord progression.

    Args:
        progression: the layer of a model that draws chords.
        tracks: the model's tracks.
        pieces: the pieces that it is trained on.
    """
    tracks = [track for track in tracks if not track.is_drum]
    follow = np.zeros((NUM_MODES, NUM_PLACES, NUM_DEGREES, NUM_DEGREES))
    first = np.zeros((NUM_MODES, NUM_DEGREES))
    notes = np.zeros((len(CHORD_KINDS) + 1, NUM_PITCH_CLASSES))
    find = tf.function(beat_chords.find_chords, reduce_retracing=True)
    found = []
    for piece in pieces:
        play, position, held = _sounding(piece, tracks)
        key = keys.find_key(tf.reduce_max(play, axis=1))
        if key < 0:
            continue
        chords = find(tf.constant(play), tf.constant(position))
        degrees = chord_progression.degree_of(chords, key).numpy()
        _add_notes(notes, chords.numpy(), play.sum(axis=1))
        place = place_of(windows.bars_left(position), position).numpy()
        mode = int(key) // NUM_PITCH_CLASSES
        beats = np.flatnonzero(position % STEPS_OF_BEAT == 0)
        if len(beats):
            first[mode, degrees[beats[0]]] += 1
            table = mode * NUM_PLACES + place[beats]
            found.append((table, entry(degrees[beats], position[beats])))
        at = place[beats[1:]], degrees[beats[:-1]], degrees[beats[1:]]
        ends = place[beats[1:]] < LAST_BARS * BEATS
        np.add.at(follow[mode], at, np.where(ends & held, HELD, 1))
    tables = _smoothed(follow, first)
    progression.transitions.assign(np.log(tables))
    progression.repeats.assign(_repeats(tables, found))
    shares = (notes + SELDOM) / (notes + SELDOM).sum(axis=1, keepdims=True)
    progression.notes.assign(np.log(np.maximum(shares, SELDOM)))


def _sounding(
    piece: Piece, tracks: Sequence[Track]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """What sounds, with the last chord held to the bar line, where composed pieces end.

    Most chorales begin with a pickup and end a beat earlier: their last bar has no
    fourth beat.

    Returns:
        float32 [step, track, pitch], the bar position int32 [step], and whether the
        last chord had to be held.
    """
    music = piece.matrices
    whole = windows.held_to_the_bar_line(
        {"cells": music.stack(tracks), "bar_position": music.bar_position}
    )
    play, position = whole["cells"].numpy()[..., 0], whole["bar_position"].numpy()
    held = len(position) > len(music)
    return play.astype(np.float32), position.astype(np.int32), held


def _add_notes(counts: np.ndarray, chords: np.ndarray, notes: np.ndarray) -> None:
    """Counts how far the notes [step, pitch] lie above the root, by kind of chord."""
    kind = np.where(chords >= 0, chords // NUM_PITCH_CLASSES, len(CHORD_KINDS))
    root = np.where(chords >= 0, chords % NUM_PITCH_CLASSES, 0)
    steps, pitches = np.nonzero(notes)
    above = (pitches - root[steps]) % NUM_PITCH_CLASSES
    np.add.at(counts, (kind[steps], above), notes[steps, pitches])


def _repeats(
    tables: np.ndarray, pieces: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """How much likelier the chord after an earlier run gets, by the run's length.

    Args:
        tables: [table, 1 + degree before, degree], probabilities without runs.
        pieces: for each, the table and the entry of each beat.

    Returns:
        float32 [place, 1 + length], log-odds, at least 0.
    """
    seen, expected, total = np.zeros((3, NUM_PLACES, 1 + LONGEST_RUN))
    for table, entries in pieces:
        padded = np.pad(entries, (MEMORY, 0))
        past = sliding_window_view(padded, MEMORY)[1:-1].astype(np.int32)
        length, then = (x.numpy() for x in runs(past))
        at = length > 0
        before, chord, now = (
            before_of(x[at]).numpy() for x in (entries[:-1], then, entries[1:])
        )
        rows = table[1:][at]
        cell = rows % NUM_PLACES, length[at]
        np.add.at(seen, cell, chord == now)
        np.add.at(expected, cell, tables[rows, before, chord - 1])
        np.add.at(total, cell, 1)
    share = np.clip(expected / np.maximum(total, 1), SELDOM, 1 - SELDOM)
    here = (seen + WEIGHT * share) / (total + WEIGHT)
    gain = np.log(here / (1 - here)) - np.log(share / (1 - share))
    return np.maximum(gain, 0).astype(np.float32)


def _smoothed(follow: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Turns counts into probabilities, also for what was seldom seen.

    A place in the last bars has few examples of each chord: there, chords follow each
    other as they do everywhere, weighted by how common each is in that place.

    Args:
        follow: [mode, place, degree before, degree], counts.
        first: [mode, degree], counts of the first beats.

    Returns:
        float32 [mode * place, 1 + degree before, degree].
    """
    shares = _mixed(follow.sum(axis=(1, 2)), 1 / NUM_DEGREES)
    everywhere = _mixed(follow.sum(axis=1), shares[:, None])[:, None]
    here = _mixed(follow.sum(axis=2), shares[:, None])
    expected = everywhere * (here / shares[:, None])[:, :, None]
    expected /= expected.sum(axis=3, keepdims=True)
    found = _mixed(follow, expected)
    begins = _mixed(np.repeat(first[:, None], NUM_PLACES, 1), here)
    both = np.concatenate([begins[:, :, None], found], axis=2)
    return both.reshape(-1, 1 + NUM_DEGREES, NUM_DEGREES).astype(np.float32)


def _mixed(counts: np.ndarray, prior: np.ndarray | float) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    return (counts + WEIGHT * prior) / (total + WEIGHT)
