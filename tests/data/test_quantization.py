"""Quantization: compiled loops and whole-array numpy give the same result."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poph_tf.data import examples, matrices, quantization, quantization_loops
from poph_tf.data import notes as notes_lib
from poph_tf.errors import InputError

NOTE = st.tuples(
    st.integers(0, 4000),  # tick
    st.integers(1, 900),  # length in ticks
    st.sampled_from([0, 7, 8, 60, 61, 127]),
    st.integers(1, 127),
    st.booleans(),
)


def notes_of(rows, ticks_per_quarter=480):
    """Makes notes.Notes of rows (start, length, pitch, velocity, drum)."""
    table = np.array(rows, np.int64).reshape(-1, 5)
    start, length = table[:, :2].T.copy()
    return notes_lib.Notes(
        start_tick=start,
        end_tick=start + length,
        pitch=table[:, 2].astype(np.uint8),
        velocity=table[:, 3].astype(np.uint8),
        program=np.zeros(len(table), np.uint8),
        instrument=np.zeros(len(table), np.int64),
        is_drum=table[:, 4].astype(bool),
        ticks_per_quarter=ticks_per_quarter,
        tempo_ticks=np.zeros(0, np.int64),
        tempo_qpms=np.zeros(0),
        time_signatures=np.array([[0, 3, 4]], np.int64),
        pedals=np.zeros((0, 3), np.int64),
        bar_marks=np.zeros((0, 2), np.int64),
    )


def test_machine_code_is_available_here():
    # Otherwise the tests below would compare numpy with itself.
    assert quantization_loops.compiled() is not None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NOTE, max_size=60),
    st.sampled_from([96, 479, 480]),
    st.sampled_from([1, 3, 4, 12]),
    st.booleans(),
)
def test_loops_and_arrays_make_the_same_record(rows, ticks, per_quarter, drums):
    notes = notes_of(rows, ticks)
    slow, fast = (
        quantization.quantize(notes, per_quarter, drums=drums, compiled=compiled)
        for compiled in (False, True)
    )
    for field in dataclasses.fields(quantization.QuantizedNotes):
        a, b = getattr(slow, field.name), getattr(fast, field.name)
        assert np.array_equal(a, b), field.name
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None), field.name
    record, piece_id = examples.encode(fast, style="a", source="b", compiled=True)
    assert (record, piece_id) == examples.encode(slow, style="a", source="b")
    # The matrices, which go through every cell, give the same record.
    piece = matrices.from_quantized(slow)
    matrices.validate(piece)
    assert record == examples.serialize(piece, style="a", source="b")
    assert piece_id == examples.content_id(piece)


@settings(max_examples=50, deadline=None)
@given(st.lists(NOTE, min_size=1, max_size=12))
def test_machine_code_does_the_same_as_its_python(rows):
    notes = notes_of(rows)
    columns = (notes.start_tick, notes.end_tick, notes.pitch, notes.velocity)
    made = []
    for loop in (quantization_loops.quantize, quantization_loops.compiled().quantize):
        out = np.zeros((4, len(notes)), np.int64)
        made.append((loop(*columns, 4, 480, out), out.tolist()))
    assert made[0] == made[1]


def test_a_note_far_out_is_quantized_without_counting_steps():
    notes = notes_of([(2**40, 480, 60, 64, 0), (0, 480, 60, 50, 0)])
    slow, fast = (
        quantization._on_grid(notes, 4, 480, compiled) for compiled in (False, True)
    )
    np.testing.assert_array_equal(slow, fast)
    assert fast[0].tolist() == [0, 2**40 // 120]
    with pytest.raises(InputError, match="longer than 1000 steps"):
        quantization.quantize(notes, max_steps=1000, compiled=True)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_pitch_sounds_while_any_of_its_notes_does(compiled):
    step = 120
    rows = [
        (0, 8 * step, 60, 80, False),  # still sounds after the two shorter ones
        (2 * step, step, 60, 90, False),
        (4 * step, step, 60, 30, False),
        (9 * step, step, 60, 70, False),
        (6 * step, step, 61, 50, False),  # the next pitch starts afresh
    ]
    piece = quantization.quantize(notes_of(rows), compiled=compiled)
    made = matrices.from_quantized(piece)
    assert made.play[:, 60].tolist() == [1] * 8 + [0, 1]
    assert np.flatnonzero(made.replay[:, 60]).tolist() == [2, 4]
    assert made.volume[:, 60].tolist() == [80, 80, 90, 90, 30, 30, 30, 30, 0, 70]
    assert made.play[:, 61].tolist() == [0] * 6 + [1, 0, 0, 0]
    matrices.validate(made)


def test_a_part_of_a_piece_begins_in_the_metre_that_holds_there():
    piece = quantization.quantize(notes_of([(0, 4800, 60, 80, False)]))
    assert len(piece) == 40
    metres = ((0, 4, 4), (20, 3, 4), (30, 2, 4))
    piece = dataclasses.replace(piece, time_signatures=metres)

    def metres_between(start, stop):
        return quantization.between(piece, start, stop).time_signatures

    assert metres_between(16, 28) == ((0, 4, 4), (4, 3, 4))
    assert metres_between(20, 31) == ((0, 3, 4), (10, 2, 4))
    assert metres_between(24, 30) == ((0, 3, 4),)
    assert metres_between(35, 40) == ((0, 2, 4),)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_longest_piece_has_exactly_as_many_steps_as_are_allowed(compiled):
    step = 120
    notes = notes_of([(0, 8 * step, 60, 80, False)])
    assert len(quantization.quantize(notes, max_steps=8, compiled=compiled)) == 8
    with pytest.raises(InputError, match="longer than 7 steps"):
        quantization.quantize(notes, max_steps=7, compiled=compiled)


def test_halves_go_to_the_later_step_and_the_shortest_note_lasts_one():
    # 120 ticks per step: 59 rounds down and 60 up, as do 179 and 180.
    rows = [(59, 1, 60, 80, 0), (60, 119, 61, 80, 0), (180, 1, 62, 80, 0)]
    for compiled in (False, True):
        piece = quantization.quantize(notes_of(rows), compiled=compiled)
        found = np.transpose([piece.start, piece.end, piece.pitch]).tolist()
        assert found == [[0, 1, 60], [1, 2, 61], [2, 3, 62]]


def test_a_silence_at_the_end_counts_and_drums_are_kept_when_asked():
    notes = notes_of([(0, 480, 60, 80, False), (480, 480, 36, 80, True)])
    assert len(quantization.quantize(notes)) == 4
    assert len(quantization.quantize(notes, drums=True)) == 8
    longer = dataclasses.replace(notes, length_tick=1920)
    assert len(quantization.quantize(longer)) == 16


def test_the_pedal_lengthens_notes_only_where_asked():
    notes = notes_of([(0, 480, 60, 80, False)])
    pedals = np.array([[0, 0, 127], [960, 0, 0]])
    notes = dataclasses.replace(notes, pedals=pedals)
    assert quantization.quantize(notes).end.tolist() == [4]
    assert quantization.quantize(notes, sustain=True).end.tolist() == [8]


def test_the_loops_count_steps_from_0_to_the_last_they_may(monkeypatch):
    monkeypatch.setattr(quantization_loops, "MAX_COUNTED_STEPS", 50)
    for start, expected in ((0, 1), (50, 1), (51, -1), (-1, -1)):
        out = np.zeros((4, 1), np.int64)
        ticks = np.array([start]), np.array([start + 2])
        pitch = np.array([60], np.uint8)
        assert quantization_loops.quantize(*ticks, pitch, pitch, 1, 1, out) == expected
    # Half a step rounds up; a step has three ticks.
    found = [quantization_loops.to_step(tick, 4, 12) for tick in range(5)]
    assert found == [0, 0, 1, 1, 1]


def test_cells_hold_ones_and_velocities():
    piece = quantization.quantize(
        notes_of([(0, 240, 60, 90, 0), (240, 240, 60, 80, 0)])
    )
    play, replay, volume = quantization.cells(piece)[:4, 60].T
    assert (list(play), list(replay), list(volume)) == (
        [1, 1, 1, 1], [0, 0, 1, 0], [90, 90, 80, 80]
    )  # fmt: skip
    assert quantization.cells(piece).sum() == 4 + 1 + 2 * (90 + 80)


def test_a_part_of_a_piece_begins_at_its_own_step_zero():
    piece = quantization.quantize(
        notes_of([(0, 480, 60, 90, 0), (480, 480, 62, 80, 0)])
    )
    part = quantization.between(
        dataclasses.replace(piece, start=piece.start[1:], end=piece.end[1:]), 4, 8
    )
    assert (list(part.start), list(part.end), len(part)) == ([0], [4], 4)
