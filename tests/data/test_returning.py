"""Which earlier bar each bar returns to: by hand, and as windows get it."""

import numpy as np
import pytest
import tensorflow as tf

from poph_tf import config
from poph_tf.config import Track
from poph_tf.data import returning, windows

TRACKS = Track("left", 0, voice=False), Track("right", 0, voice=False)
# Bars of four steps, given by the pitch of each step.
RISE, FALL, TURN = (0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 2, 1)


def found(*bars, first=0):
    """Finds returns in bars of single notes; `first` skips steps of the first bar."""
    pitches = np.array([pitch for bar in bars for pitch in bar][first:])
    position = np.arange(first, first + len(pitches)) % 4
    return returning.find_returns(np.eye(5, dtype=bool)[pitches], position)


@pytest.mark.parametrize(
    ("bars", "back"),
    [
        ([RISE], [0]),
        ([RISE, FALL, RISE], [0, 0, 2]),
        ([RISE, FALL, RISE, FALL, TURN], [0, 0, 2, 2, 0]),
        ([RISE, RISE, RISE], [0, 1, 1]),  # the nearest of equal bars
        # Three common notes of five in all are enough; two of six are not.
        ([RISE, (0, 1, 2, 4)], [0, 1]),
        ([RISE, (0, 1, 4, 4)], [0, 0]),
        # The most similar bar, not the nearest.
        ([RISE, (0, 1, 2, 4), RISE], [0, 1, 2]),
    ],
)
def test_the_bars_that_come_back_by_hand(bars, back):
    np.testing.assert_array_equal(found(*bars), 4 * np.repeat(back, 4))


def test_it_looks_back_no_farther_than_asked():
    music = RISE, RISE, FALL, RISE
    pitches = np.array([pitch for bar in music for pitch in bar])
    onsets, bars = np.eye(5, dtype=bool)[pitches], np.arange(16) % 4
    for most, back in ((16, [0, 4, 0, 8]), (8, [0, 4, 0, 8]), (7, [0, 4, 0, 0])):
        found = returning.find_returns(onsets, bars, most_steps=most)
        np.testing.assert_array_equal(found, np.repeat(back, 4))
    assert not returning.find_returns(onsets, bars, most_steps=3).any()


def test_a_window_may_begin_within_a_bar_and_silence_is_like_nothing():
    np.testing.assert_array_equal(
        found(FALL, RISE, FALL, RISE, first=1), [0] * 7 + [8] * 8
    )
    silent = np.zeros((12, 5), bool)
    assert not returning.find_returns(silent, np.arange(12) % 4).any()


def told(key, num_seeds, form=True):
    """Windows of a piece of four bars whose last two repeat the first two."""
    rng = np.random.default_rng(0)
    half = rng.integers(0, 2, (32, 2, 128, 1))
    cells = np.concatenate([half, half]) * np.array([1, 0, 80])
    cells[..., :40, :] = cells[..., 80:, :] = 0
    model = config.ModelConfig(
        "poph3", tracks=TRACKS, key=key, form=form, min_pitch=30, num_pitches=60
    )
    training = config.TrainingConfig(window_steps=64)
    piece = {
        "cells": tf.constant(cells, tf.uint8),
        "bar_position": tf.constant(np.arange(64) % 16, tf.uint8),
        "style": tf.constant(0),
        "id": tf.constant("piece"),
    }
    # One graph for all seeds.
    cut = tf.data.Dataset.range(num_seeds).flat_map(
        lambda seed: windows.cut(piece, tf.stack([seed, 0]), model, training)
    )
    return [*cut.as_numpy_iterator()]


def test_windows_are_told_unless_they_are_not():
    many = told(False, 40)
    untold = [(window["returns"] == -1).all() for window in many]
    assert 3 <= sum(untold) <= 20  # a quarter
    for window, not_told in zip(many, untold, strict=True):
        if not not_told:
            np.testing.assert_array_equal(window["returns"][:32], 0)
            np.testing.assert_array_equal(window["returns"][32:64], 32)
        assert (window["returns"][64:] == -1).all()  # beyond the end
    assert "returns" not in told(False, 1, form=False)[0]


def test_nothing_comes_back_over_the_leap_into_another_key():
    leaps = 0
    for window in told(True, 60):
        returns, frames = window["returns"], window["frames"][..., 0]
        for step in np.flatnonzero(returns > 0):
            # The frame before the window comes first.
            a, b = frames[step + 1], frames[step + 1 - returns[step]]
            np.testing.assert_array_equal(a, b)
        # Nothing is given where the source is in the other key.
        leaps += ((returns == -1)[:64].any()) & ((returns != -1)[:64].any())
    assert leaps > 5
