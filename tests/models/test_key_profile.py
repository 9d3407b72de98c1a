"""Profiles of pitch classes, by hand."""

import numpy as np
import pytest

from poph_tf.models.layers import KeyProfile
from poph_tf.models.layers.key_profile import OPENING_STEPS, PROFILES, SCALE

PITCHES = 14


def profiles(frames, num_tracks=1):
    """Of frames [time, pitch, channel]: [time, pitch, profile, track, 12]."""
    found = KeyProfile(num_tracks)(np.float32(frames)[:, None])[:, 0].numpy()
    return found.reshape(*found.shape[:2], PROFILES, num_tracks, 12)


def roll(*notes, steps, channels=1):
    """Cells of notes (pitch, first step, last step)."""
    made = np.zeros((steps, PITCHES, channels), np.float32)
    for pitch, first, last in notes:
        made[first : last + 1, pitch, 0] = 1
    return made


def test_each_pitch_reads_how_far_above_it_a_class_has_sounded():
    # Class 1 in both of two steps, class 4 in the second of them.
    found = profiles(roll((13, 0, 1), (4, 1, 1), steps=2))[1, :, 0, 0]
    # With the one that is added to the steps, so that the first ones say little.
    assert found[0] == pytest.approx([0, SCALE * 2 / 3, 0, 0, SCALE / 3] + [0] * 7)
    assert found[1] == pytest.approx([SCALE * 2 / 3, 0, 0, SCALE / 3] + [0] * 8)
    assert found[5, 11] == found[13, 3] == pytest.approx(SCALE / 3)


def test_the_opening_is_kept():
    piece = roll((0, 0, OPENING_STEPS - 1), (7, OPENING_STEPS, 40), steps=41)
    found = profiles(piece)[40, 0, :, 0]
    assert found[1, 0] == pytest.approx(SCALE * 16 / 17)
    assert found[1, 7] == 0
    assert found[0, 7] == pytest.approx(SCALE * 25 / 42)


def test_a_resting_point_is_a_chord_that_stands_for_more_than_a_quarter():
    held, struck = roll((0, 0, 9), steps=10, channels=2), roll((0, 0, 9), steps=10)
    found = profiles(held)[:, 0, 2, 0, 0]
    assert found == pytest.approx([0] * 4 + [SCALE * k / (k + 1) for k in range(1, 7)])
    # Struck again in step 6: only the two steps before count.
    held[6, 0, 1] = 1
    found = profiles(held)[:, 0, 2, 0, 0]
    assert found[[4, 5, 9]] == pytest.approx([SCALE / 2, SCALE * 2 / 3, SCALE * 2 / 3])
    assert profiles(struck)[9, 0, 2, 0, 0] == pytest.approx(SCALE * 6 / 7)


def test_each_track_has_its_own():
    two = np.concatenate([roll((0, 0, 0), steps=1), roll((7, 0, 0), steps=1)], axis=-1)
    found = profiles(two, num_tracks=2)[0, 0, 0]
    assert found.argmax(axis=1).tolist() == [0, 7]
    assert np.count_nonzero(found) == 2
