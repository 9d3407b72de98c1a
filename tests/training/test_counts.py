"""Chord tables counted from music, and the chords that windows get."""

import dataclasses

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config
from poph_tf.config import TrainingConfig
from poph_tf.data import beat_chords, examples, matrices, windows
from poph_tf.models.layers import chord_progression
from poph_tf.models.layers.voice_ranges import VoiceRanges
from poph_tf.models.track_network import NUM_PLACES, place_of
from poph_tf.training import counts

TRACKS = tuple(config.Track(name, voice=True) for name in ("high", "middle", "low"))
TRIADS = {"I": (72, 64, 48), "IV": (72, 65, 53), "V": (71, 67, 55)}


def piece(progression):
    """A piece of three voices with a chord for each beat."""
    cells = np.zeros((4 * len(progression), 3, 128, 3), np.uint8)
    for beat, name in enumerate(progression):
        for track, pitch in enumerate(TRIADS[name]):
            cells[4 * beat : 4 * beat + 4, track, pitch] = (1, 0, 80)
    bars = (np.arange(len(cells)) % 16).astype(np.uint8)
    made = matrices.from_stack(cells, TRACKS, bars)
    return examples.Piece(id="x", matrices=made, source="x", style="any")


@pytest.fixture(scope="module")
def counted():
    layer = chord_progression.ChordProgression(NUM_PLACES)
    layer.build()
    song = ["I", "IV", "V", "I"] * 4
    counts.count_chords(layer, TRACKS, [piece(song)] * 20)
    return layer


def after(layer, degree, left, beat):
    place = place_of(tf.constant([left]), tf.constant([4 * beat]))
    return np.exp(layer.following(tf.constant([degree]), tf.constant([0]), place))[0]


def test_what_was_seen_is_probable_in_its_place_and_all_else_possible(counted):
    for before, now, beat in ((1, 5, 1), (6, 7, 2), (8, 0, 3), (1, 0, 0)):
        assert after(counted, before, 2, beat)[now] > 0.8
    np.testing.assert_allclose(np.exp(counted.transitions.numpy()).sum(axis=2), 1, 1e-5)
    assert np.exp(counted.transitions.numpy()).min() > 0
    # The first chord of all pieces is the tonic.
    assert after(counted, 0, -1, 0)[0] > 0.8


def test_a_piece_that_ends_within_a_bar_counts_as_held_to_the_bar_line():
    # After a pickup of one beat, as in most chorales: V before the last bar line.
    song = piece(["I", *["I", "IV", "V", "V"] * 2, "I", "I", "I"])
    begun = (song.matrices.bar_position.astype(int) - 4) % 16
    shifted = dataclasses.replace(song.matrices, bar_position=begun.astype(np.uint8))
    cut = dataclasses.replace(song, matrices=shifted)
    layer = chord_progression.ChordProgression(NUM_PLACES)
    layer.build()
    counts.count_chords(layer, TRACKS, [cut] * 200)
    assert after(layer, 8, 0, 0)[0] > 0.8  # V-I over the last bar line
    # The last beat, which these pieces lack, is not taken for the V before it.
    assert after(layer, 1, 0, 3)[0] > 0.8
    # A bar that is there counts ten times as much as one that is held.
    whole = piece([*["I", "IV", "V", "V"] * 2, "V", "V", "I", "I"])
    counts.count_chords(layer, TRACKS, [cut] * 200 + [whole] * 60)
    assert after(layer, 8, 0, 0)[7] == pytest.approx(60 / (60 + 20), abs=0.08)


def test_where_a_chord_was_not_seen_in_its_place_the_place_and_the_others_say(counted):
    # After V comes I.
    assert after(counted, 8, 0, 3).argmax() == 0
    # Nothing was seen after the second degree: this beat's usual chord is likely.
    assert after(counted, 12 + 2 + 1, 1, 2).argmax() == 7


def test_notes_are_counted_by_their_distance_from_the_root(counted):
    major = np.exp(counted.notes.numpy()[0])
    np.testing.assert_allclose(major[[0, 4, 7]].sum(), 1, atol=0.02)
    assert major[0] > major[4]  # IV has its root twice, V too


def test_what_comes_back_gains_by_the_length_of_the_run():
    rng = np.random.default_rng(0)
    names = list(TRIADS)
    songs = []
    for _ in range(40):
        phrase, end = np.split(rng.integers(3, size=24), [16])
        songs.append(piece([names[k] for k in (*phrase, *phrase, *end)]))
    layer = chord_progression.ChordProgression(NUM_PLACES)
    layer.build()
    counts.count_chords(layer, TRACKS, songs)
    gain = layer.repeats.numpy()
    assert not gain[:, 0].any() and gain.min() >= 0
    many = gain[-4:]  # the beats of bars far from the end
    assert many[:, 8].min() > 3
    assert many[:, 1].max() < 1
    # The last two bars are random: earlier music predicts little.
    assert gain[:8].max() < 1.5


def test_pitches_are_the_rarer_the_farther_they_lie_from_their_voice():
    low, size = 40, 40
    tracks = (*TRACKS[:2], config.Track("low"))  # the last may play chords
    layer = VoiceRanges(3, size)
    layer.build()
    song = [piece(["I", "V"] * 8)]
    counts.count_ranges(layer, tracks, low, [0], song)
    assert not layer.pitches.numpy().any(), "Without transposition all is known."
    counts.count_ranges(layer, tracks, low, range(-6, 6), song)
    table = layer.pitches.numpy()
    # 72 is as frequent as 71, each spread as 1 4 6 4 1 and transposed over an octave.
    assert table[0, 72 - low] == table[0, 71 - low] == 0
    octave = table[0, 72 - low - 12 : 72 - low + 13]
    assert (np.diff(octave[:12]) >= 0).all() and (np.diff(octave[13:]) <= 0).all()
    edge = 32 * 1 / 16 + 1  # of 72, in one step of 32: 74 without 71's share
    assert octave[14] == pytest.approx(np.log(edge * 12 / (2 * 32 + 12)), abs=0.05)
    assert table[0, [0, -1]].max() < -1.5
    assert not table[2].any()
    told = layer.bias(1, tf.constant([1.0, 0.0]))
    np.testing.assert_array_equal(told, [table[1], 0 * table[1]])


def test_windows_are_told_the_chords_of_their_own_transposition():
    model = small.model_config("voices", tracks=TRACKS, num_pitches=48, min_pitch=36)
    whole = piece(["I", "IV", "V", "I"] * 8).matrices
    made = {
        "cells": tf.constant(whole.stack(TRACKS)),
        "bar_position": tf.constant(whole.bar_position.astype(np.int32)),
        "style": tf.constant(0),
        "id": tf.constant("x"),
    }
    training = TrainingConfig(window_steps=128)
    seeds = tf.data.Dataset.range(24)
    cut = seeds.flat_map(
        lambda seed: windows.cut(made, tf.stack([seed, 1]), model, training)
    )
    told = changed = 0
    for window in cut:
        steps = int(window["length"])
        play = np.zeros((steps, 3, 128), np.float32)
        play[:, :, 36:84] = window["frames"][1 : steps + 1, ..., 0]
        bars = tf.cast(window["bar_position"][:steps], tf.int32)
        own = beat_chords.find_chords(play, bars).numpy()
        found = window["chord"][:steps].numpy()
        # A beat in which the window changes its key has two chords.
        leap = window["given"][:steps].numpy().all(axis=1)
        same = (found == own) | (np.convolve(leap, np.ones(7), "same") > 0)
        assert same.all() or (found == -1).all()
        told += (found >= 0).all()
        changed += len(np.unique(found % 12)) > 3
    assert 0 < told < 24
    assert changed
