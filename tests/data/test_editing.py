"""Cutting, joining and transposing pieces, worked by hand."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poph_tf.config.tracks import Track
from poph_tf.data import editing, matrices
from poph_tf.data.cells import spans
from poph_tf.errors import InputError

HIGH, LOW = Track("high"), Track("low")


def piece(*notes, steps=32, tracks=(HIGH,), first=0, **fields):
    """Makes a piece in 4/4 from notes (track, start, end, pitch), in steps."""
    stack = np.zeros((steps, len(tracks), 128, 3), np.uint8)
    for track, start, end, pitch in notes:
        stack[start:end, track, pitch] = (1, 0, 80)
        stack[start, track, pitch, 1] = 1
    position = ((np.arange(steps) + first) % 16).astype(np.uint8)
    return matrices.from_stack(stack, tracks, position, **fields)


def notes(made, track=None):
    cells = made.cells if track is None else made.tracks[track].cells
    return [tuple(map(int, note)) for note in zip(*spans(cells)[:3], strict=True)]


def test_pieces_of_different_grids_cannot_be_joined():
    made = piece((0, 0, 4, 60))
    with pytest.raises(InputError, match="same grid, got 4 and 3 steps per quarter"):
        editing.join(made, dataclasses.replace(made, steps_per_quarter=3))


def test_a_note_over_a_cut_begins_or_ends_there():
    made = piece((0, 0, 4, 60), (0, 12, 20, 64), (0, 30, 32, 67))
    assert notes(editing.cut(made, 0, 1)) == [(0, 4, 60), (12, 16, 64)]
    after = editing.cut(made, 1, 2)
    assert notes(after) == notes(after, 0) == [(0, 4, 64), (14, 16, 67)]
    # It keeps the volume that it was struck with.
    assert after.cells[0, 64].tolist() == [1, 0, 80]


def test_bars_are_cut_where_they_are_however_long():
    made = piece(steps=40, first=12)  # an upbeat, two bars, a quarter of one
    lengths = [len(editing.cut(made, bar, bar + 1)) for bar in range(4)]
    assert lengths == [4, 16, 16, 4]
    assert editing.cut(made, 0, 1).bar_position.tolist() == [12, 13, 14, 15]


def test_a_cut_has_the_metre_that_holds_there():
    made = piece(steps=48, time_signatures=((0, 4, 4), (16, 2, 4), (24, 3, 4)))
    made = dataclasses.replace(
        made, bar_position=np.r_[:16, :8, :12, :12].astype(np.uint8)
    )
    assert editing.cut(made, 0, 2).time_signatures == ((0, 4, 4), (16, 2, 4))
    assert editing.cut(made, 3, 4).time_signatures == ((0, 3, 4),)


def test_only_the_end_of_a_piece_slows_down():
    made = piece(ritardando=0.3)
    assert editing.cut(made, 0, 1).ritardando == 0.0
    assert editing.cut(made, 1, 2).ritardando == 0.3


def test_what_begins_at_a_seam_is_struck():
    long = piece((0, 8, 16, 60), steps=16)
    joined = editing.join(long, piece((0, 0, 4, 60), steps=16))
    assert notes(joined) == notes(joined, 0) == [(8, 16, 60), (16, 20, 60)]


def test_tracks_are_joined_by_name_and_rest_where_they_are_missing():
    both = piece((0, 0, 4, 72), (1, 0, 4, 48), steps=16, tracks=(HIGH, LOW))
    low = piece((0, 0, 4, 50), steps=16, tracks=(LOW,))
    joined = editing.join(low, both)
    assert [track.name for track in joined.tracks] == ["low", "high"]
    assert notes(joined, 0) == [(0, 4, 50), (16, 20, 48)]
    assert notes(joined, 1) == [(16, 20, 72)]
    merged = dataclasses.replace(low, tracks=())
    assert editing.join(merged, both).tracks == ()


def test_an_upbeat_fills_the_bar_before_or_is_a_bar():
    upbeat = piece(steps=20, first=12)
    short = editing.join(piece(steps=12), upbeat)
    assert np.flatnonzero(short.bar_position == 0).tolist() == [0, 16]
    full = editing.join(piece(steps=16), upbeat)
    assert np.flatnonzero(full.bar_position == 0).tolist() == [0, 16, 20]


def test_a_metre_is_said_again_only_where_it_changes():
    four, three = (((0, n, 4),) for n in (4, 3))
    waltz = piece(steps=12, time_signatures=three)
    march = piece(steps=16, time_signatures=four)
    assert editing.join(march, march).time_signatures == four
    assert editing.join(march, waltz).time_signatures == ((0, 4, 4), (16, 3, 4))


def test_pieces_of_different_grids_are_not_joined():
    with pytest.raises(InputError, match="same grid, got 4 and 12 steps per quarter"):
        editing.join(piece(), dataclasses.replace(piece(), steps_per_quarter=12))


def test_drums_are_not_transposed():
    drums = Track("drums", is_drum=True)
    made = piece((0, 0, 4, 60), (1, 0, 4, 36), tracks=(HIGH, drums))
    up = editing.transpose(made, 3)
    assert notes(up, 0) == [(0, 4, 63)] and notes(up, 1) == [(0, 4, 36)]
    assert notes(up) == [(0, 4, 36), (0, 4, 63)]


def test_the_key_is_transposed_with_the_notes():
    made = dataclasses.replace(piece((0, 0, 4, 60)), key="C minor")
    assert editing.transpose(made, 3).key == "Eb minor"
    assert editing.transpose(piece((0, 0, 4, 60)), 3).key == ""


def test_a_note_is_never_transposed_out_of_midi():
    made = piece((0, 0, 4, 3), (0, 0, 4, 120))
    assert notes(editing.transpose(made, 7)) == [(0, 4, 10), (0, 4, 127)]
    with pytest.raises(InputError, match=r"by 8, pitches 3 to 120 would be 11 to 128"):
        editing.transpose(made, 8)
    with pytest.raises(InputError, match="would be -1 to 116"):
        editing.transpose(made, -4)


@st.composite
def pieces(draw):
    spot = st.tuples(st.just(0), st.integers(0, 47), st.integers(1, 30))
    found = draw(st.lists(st.tuples(spot, st.integers(40, 80)), max_size=10))
    made = [(t, low, min(low + size, 48), pitch) for (t, low, size), pitch in found]
    return piece(*made, steps=48, first=draw(st.integers(0, 15)))


@settings(deadline=None, max_examples=40)
@given(pieces(), st.data())
def test_cut_parts_joined_are_the_piece_but_for_notes_over_the_cut(made, data):
    bars = len(np.unique(np.r_[0, np.flatnonzero(made.bar_position == 0)]))
    at = data.draw(st.integers(1, bars - 1)) if bars > 1 else 1
    parts = editing.cut(made, 0, at), editing.cut(made, at, bars)
    whole = editing.join(*parts)
    matrices.validate(whole)
    np.testing.assert_array_equal(whole.play, made.play)
    np.testing.assert_array_equal(whole.bar_position, made.bar_position)
    seam = len(parts[0])
    changed = np.argwhere(whole.cells != made.cells)
    assert (changed[:, 0] == seam).all() and (changed[:, 2] == 1).all()
    made = dataclasses.replace(made, key="F# minor")
    there = editing.transpose(editing.transpose(made, 5), -5)
    assert there == made and there.key == made.key
