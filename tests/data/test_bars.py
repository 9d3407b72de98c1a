"""Time on the grid by hand: bar lines, time signatures, tempi."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from smf import file, off, on

from poph_tf.data import bars, midi_bytes, score_sequence
from poph_tf.data import score as score_lib


def positions(signatures, length, grid=(4, 4)):
    """Returns the bar positions; ticks are steps unless `grid` says otherwise."""
    table = np.array(signatures, np.int64).reshape(-1, 3)
    return bars.positions_of(table, length, *grid).tolist()


@pytest.mark.parametrize(
    ("signatures", "expected"),
    [
        ([], [*range(16), 0, 1]),
        ([(0, 2, 4)], [*range(8), *range(8), 0, 1]),
        # From 4/4 to 1/4: on the bar line, after it, and before the first one.
        ([(16, 1, 4)], [*range(16), 0, 1]),
        ([(0, 1, 4), (10, 3, 4)], [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, *range(8)]),
        ([(3, 3, 4)], [13, 14, 15, *range(12), 0, 1, 2]),
        # After the end; two at the same time, of which the last counts.
        ([(0, 3, 4), (99, 1, 4)], [*range(12), *range(6)]),
        ([(0, 3, 4), (0, 2, 4)], [*range(8), *range(8), 0, 1]),
        # Impossible ones are ignored; a bar has at least one step.
        ([(0, 0, 4), (0, 3, 0), (0, -1, 4), (0, 3, 256)], [*range(16), 0, 1]),
        ([(0, 1, 128)], [0] * 18),
    ],
)
def test_bar_lines_follow_the_time_signatures(signatures, expected):
    assert positions(signatures, 18) == expected


def test_lines_between_steps_go_to_the_nearest_halves_up():
    # A step is a quarter, so 3/8 is 1.5 steps: lines at 0, 1.5, 3, 4.5, 6.
    assert positions([(0, 3, 8)], 7, grid=(1, 24)) == [0, 1, 0, 0, 1, 0, 0]
    assert bars.to_steps([11, 12, 35, 36], 1, 24).tolist() == [0, 1, 1, 2]


def test_positions_end_at_255():
    found = positions([(0, 99, 4)], 300)
    assert found[:256] == [*range(256)] and found[256:] == [255] * 44


@pytest.mark.parametrize(
    ("signatures", "length", "expected"),
    [
        ([], 9, ((0, 4, 4),)),
        ([(4, 3, 4)], 9, ((0, 4, 4), (4, 3, 4))),
        ([(0, 3, 4), (9, 2, 4)], 9, ((0, 3, 4),)),
        ([(0, 3, 4), (8, 2, 4)], 9, ((0, 3, 4), (8, 2, 4))),
        ([(0, 3, 4)], 0, ((0, 3, 4),)),
    ],
)
def test_time_signatures_of_the_grid(signatures, length, expected):
    table = np.array(signatures, np.int64).reshape(-1, 3)
    assert bars.to_step_signatures(table, length, 4, 4) == expected


@pytest.mark.parametrize(
    ("lengths", "first", "expected"),
    [
        ([16, 16, 5], 0, ((0, 4, 4),)),
        ([12, 8, 8, 8], 0, ((0, 3, 4), (12, 2, 4))),
        # An upbeat of 4 of 12 steps; its metre is repeated.
        ([4, 12, 12], 8, ((0, 3, 4), (4, 3, 4))),
        ([4, 6, 6], 8, ((0, 3, 4), (4, 3, 8))),
        ([4, 2], 8, ((0, 3, 4), (4, 3, 4))),
        ([3], 0, ((0, 4, 4),)),
        ([3], 5, ((0, 4, 4),)),
        ([1, 3], 0, ((0, 1, 16),)),
    ],
)
def test_time_signatures_are_guessed_from_bars(lengths, first, expected):
    counts = [np.arange(length) for length in lengths]
    counts[0] = counts[0] + first
    assert bars.guessed(np.concatenate(counts).astype(np.uint8), 4) == expected


def test_marks_tell_where_bar_lines_are_no_signature_s():
    signature = np.array([(0, 1, 4)])
    as_it_says = np.array([0, 1, 2, 3, 0, 1], np.uint8)
    assert list(bars.marks(as_it_says, 4, signature)) == []
    other = np.array([2, 3, 0, 1, 0, 1], np.uint8)
    assert list(bars.marks(other, 4, signature)) == [(0, 2), (2, 0), (4, 0)]


def tempo_of(ticks, qpms, length, step_ticks=120):
    notes = midi_bytes.parse(file([on(0, 60), off(480, 60)]))
    tempi = {"tempo_ticks": np.array(ticks), "tempo_qpms": np.array(qpms, float)}
    return bars.mean_tempo(dataclasses.replace(notes, **tempi), length)


def test_the_mean_tempo_keeps_the_duration():
    assert tempo_of([], [], 8) == 120.0
    assert tempo_of([0], [90.5], 8) == 90.5
    # A quarter at 60 and one at 120 take a second and a half.
    assert tempo_of([0, 480], [60, 120], 8) == 80.0
    # Before the first tempo event it is 120.
    assert tempo_of([480], [60], 8) == 80.0
    # Tempi after the end do not count; a piece without steps has the first tempo.
    assert tempo_of([0, 960], [60, 120], 8) == 60.0
    assert tempo_of([0, 480], [60, 120], 0) == 60.0
    assert tempo_of([480], [60], 0) == 120.0
    assert bars.rounded_tempo(0.0001) == 0.001
    assert bars.rounded_tempo(99.99949) == 99.999


@pytest.mark.parametrize(
    ("length", "denominator", "expected"),
    [
        *(("4", 4, (4, 4)), ("4", 2, (2, 2)), ("3/2", 8, (3, 8)), ("4", 6, (4, 4))),
        # The first beat that fits: quarters, eighths, 16ths, 32nds, 64ths.
        *(("3", 2, (3, 4)), ("3/2", 4, (3, 8)), ("5/4", 4, (5, 16))),
        *(("5/8", 4, (5, 32)), ("5/16", 4, (5, 64)), ("1/2", 1, (1, 8))),
        # None fits: 16ths, rounded.
        *(("5/3", 4, (7, 16)), ("1/99", 4, (1, 16)), ("255", 4, (255, 4))),
        ("256", 4, (1024, 16)),
    ],
)
def test_a_bar_has_the_first_time_signature_that_fits(length, denominator, expected):
    found = score_sequence._signature_of(Fraction(length), denominator)
    assert found == expected


@pytest.mark.parametrize(
    ("length", "ends", "expected"),
    [
        ("0", (), "4"),
        ("3", ("3",), "3"),
        # Lengths that differ by rounding become those of the metre.
        *(("399/100", (), "4"), ("255/64", (), "255/64")),
        # A voice runs over: slightly, beside one in time; or fewer run over than not.
        *(("5", ("4", "5"), "4"), ("11/2", ("4", "11/2"), "11/2")),
        ("8", ("4", "4", "8"), "4"),
        # No voice is in time: the longest exact one.
        *(("5", ("5", "3"), "5"), ("600/97", ("5", "600/97"), "5")),
        ("600/97", ("600/97",), "600/97"),
    ],
)
def test_the_length_of_a_bar_is_that_of_its_metre_where_voices_end_there(
    length, ends, expected
):
    ends = [Fraction(end) for end in ends]
    measure = score_lib.Measure(length=Fraction(length), ends=ends)
    assert score_sequence._length(measure, (4, 4)) == Fraction(expected)
    assert score_sequence._length(measure, (0, 0)) == Fraction(length)


@pytest.mark.parametrize(
    ("lengths", "metre", "expected"),
    [
        ([], (4, 4), [(0, 4, 4)]),
        ([4, 4, 4], (4, 4), [(0, 4, 4)]),
        # A pickup and the last bar, which completes it.
        ([1, 4, 3], (4, 4), [(0, 4, 4), (1, 4, 4)]),
        # Two parts make one bar if they add up to it.
        ([3, 1, 2, 3], (3, 4), [(0, 3, 4)]),
        ([3, 1, 1, 3], (3, 4), [(0, 3, 4), (3, 1, 4), (5, 3, 4)]),
        ([3, 4, 3], (3, 4), [(0, 3, 4), (3, 4, 4), (7, 3, 4)]),
        # Free bars keep their length.
        ([5, 5, 2], (0, 0), [(0, 5, 4), (10, 2, 4)]),
    ],
)
def test_time_signatures_lead_to_the_bar_lines_of_the_score(lengths, metre, expected):
    measures = [(Fraction(length), *metre) for length in lengths]
    assert score_sequence.bar_lines(measures) == expected
