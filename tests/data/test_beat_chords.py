"""The chord of each beat, worked by hand."""

import numpy as np
import pytest

from poph_tf.data import beat_chords

C, D, E, F, G, A, B = 60, 62, 64, 65, 67, 69, 71


def chords(*steps, bars=None):
    """Returns the chords of steps, each a list of (track, pitch)."""
    play = np.zeros((len(steps), 4, 128), np.float32)
    for step, notes in enumerate(steps):
        for track, pitch in enumerate(notes):
            play[step, track, pitch] = 1
    bars = np.arange(len(steps)) % 16 if bars is None else np.array(bars)
    return beat_chords.find_chords(play, bars.astype(np.int32)).numpy().tolist()


@pytest.mark.parametrize(
    ("notes", "chord"),
    [
        ((C, E, G), 0),
        ((E, G, C + 12), 0),  # in any inversion
        ((A, C, E), 12 + 9),
        ((B, D, F), 24 + 11),
        ((G, B, D, F), 7),  # a seventh counts as its triad, by its lowest note
        ((B, D, F, G), 7),
        ((B - 12, D, F, G), 24 + 11),
        ((A - 12, C, E, G), 12 + 9),
        ((C, E, G, A), 0),
        ((), -1),
        ((C, C + 1, C + 2, C + 3), -1),
    ],
)
def test_chords_by_hand(notes, chord):
    assert chords(*[notes] * 4) == [chord] * 4


def test_a_passing_note_does_not_change_the_chord_of_a_beat():
    assert chords((C, E, G), (C, E, G), (C, F, G), (C, F, G)) == [0] * 4


def test_hardly_more_notes_inside_a_chord_than_outside_are_none():
    # C and E: 8 of 14 notes, 2 more than outside C major.
    assert chords(*[(C, D, E, F)] * 3, (C, E)) == [-1] * 4


def test_each_beat_has_its_own_from_the_bar_line_on():
    major, minor = (C, E, G), (A, C, E)
    steps = [minor] * 2 + [major] * 4 + [minor]
    assert chords(*steps, bars=[14, 15, 0, 1, 2, 3, 4]) == [21, 21, 0, 0, 0, 0, 21]


def test_transposed_music_has_transposed_chords():
    rng = np.random.default_rng(0)
    play = np.zeros((72, 3, 128), np.float32)
    for step, root in enumerate(rng.integers(40, 60, 18).repeat(4)):
        kind = root % 3
        for track, tone in enumerate(beat_chords.CHORD_KINDS[kind]):
            play[step, track, root + tone] = 1
    bars = (np.arange(72) % 12).astype(np.int32)
    here = beat_chords.find_chords(play, bars).numpy()
    there = beat_chords.find_chords(np.roll(play, 5, axis=2), bars).numpy()
    assert len(set(here)) > 6
    np.testing.assert_array_equal(here // 12, there // 12)
    np.testing.assert_array_equal((here + 5) % 12, there % 12)
