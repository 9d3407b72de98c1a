"""Tests of beat tracking in performances and of quantizing notes to the beats."""

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from poph_tf.data import notes as notes_lib
from poph_tf.data import quantization
from poph_tf.data.notes import Notes
from poph_tf.data.preparation import (
    alignment,
    beat_decoding,
    beat_features,
    beat_network,
    beat_picture,
    beat_warping,
    beats,
)
from poph_tf.data.preparation.beats import Beats
from poph_tf.evaluation import beats as beat_evaluation
from poph_tf.rendering import figures
from poph_tf.rendering import performance as pictures

NONE = np.zeros((0, 3), np.int64)


def performance(rows, pedals=NONE):
    """Makes Notes of (start, end, pitch, velocity) in seconds; a tick is 1 ms."""
    start, end, pitch, velocity = np.array(sorted(rows), np.float64).T
    count = len(start)
    return Notes(
        np.round(start * 1000).astype(np.int64),
        np.round(end * 1000).astype(np.int64),
        pitch.astype(np.uint8),
        velocity.astype(np.uint8),
        program=np.zeros(count, np.uint8),
        instrument=np.zeros(count, np.int64),
        is_drum=np.zeros(count, bool),
        ticks_per_quarter=1000,
        tempo_ticks=np.array([0]),
        tempo_qpms=np.array([60.0]),
        time_signatures=np.array([[0, 4, 4]]),
        pedals=np.asarray(pedals, np.int64),
        bar_marks=np.zeros((0, 2), np.int64),
    )


def rubato(count, seconds=0.6, depth=0.12):
    """Beat times whose tempo slows down and speeds up every sixteen beats."""
    pace = seconds * (1 + depth * np.sin(2 * np.pi * np.arange(count) / 16))
    return 1.0 + np.concatenate([[0.0], np.cumsum(pace[:-1])])


def waltz(times, beats_per_bar=3, division=2):
    """Bass on bar lines, arpeggiated chords on other beats, a tune of equal notes."""
    random = np.random.default_rng(3)
    rows = []
    for k, (time, after) in enumerate(zip(times[:-1], times[1:], strict=True)):
        bar, place = divmod(k, beats_per_bar)
        root = 36 + (0, 5, 7, 9, 2)[bar % 5]
        chord = [root + 16, root + 19, root + 24]
        if place == 0:
            rows += [(time, after, root, 80)]
        else:
            rows += [(time + 0.012 * i, after, p, 50) for i, p in enumerate(chord)]
        if bar % 8 == 7 and place == 2:
            continue  # The tune rests.
        for part in range(division):
            begin = time + (after - time) * part / division + random.normal(0, 0.006)
            end = begin + 0.9 * (after - time) / division
            rows += [(max(begin, 0), end, 72 + (k * division + part) * 5 % 12, 70)]
    return performance(rows)


@pytest.mark.parametrize("beats_per_bar", [3, 4])
@pytest.mark.parametrize("depth", [0.0, 0.12])
def test_beats_of_a_swaying_performance_are_found(beats_per_bar, depth):
    times = rubato(96, depth=depth)
    found = beats.find(waltz(times, beats_per_bar))
    assert beat_evaluation.f_measure(times[:-1], found.beats) > 0.9
    assert set(found.downbeats) <= set(found.beats)


def test_beats_depend_neither_on_the_file_s_tempo_nor_on_its_metre():
    notes = waltz(rubato(64))
    # The same times in seconds, at another tempo and in another metre.
    other = dataclasses.replace(
        notes,
        ticks_per_quarter=500,
        tempo_qpms=np.array([120.0]),
        time_signatures=np.array([[0, 7, 8]]),
    )
    sequence = notes_lib.to_sequence(notes)
    for piece in (other, sequence):
        np.testing.assert_array_equal(beats.find(piece).beats, beats.find(notes).beats)


def test_a_piece_without_notes_has_no_beats():
    notes = performance([(0.0, 1.0, 60, 64)])
    assert len(beats.find(notes_lib.select(notes, np.array([False]))).beats) == 0


def evidence(frames, count):
    values = np.full(count, -4.0)
    values[frames] = 4.0
    return values


def level(count):
    return np.zeros((count, len(beat_decoding.INTERVALS)))


def test_the_chain_goes_through_the_evidence_and_bridges_gaps():
    every = np.cumsum([10] + [12] * 10 + [13] * 10 + [15] * 10)
    heard = np.delete(every, [7, 15])
    frames, _ = beat_decoding.decode(
        evidence(heard, 450), np.zeros(450), level(450), beat_decoding.Weights()
    )
    inside = frames[(frames >= 10) & (frames <= every[-1])]
    assert np.abs(inside - every).max() <= 1
    assert set(heard) <= set(frames)


@pytest.mark.parametrize("beats_per_bar", [2, 3, 4])
def test_bars_are_counted_by_the_evidence_of_bar_lines(beats_per_bar):
    every = 10 + 14 * np.arange(36)
    lines = every[1::beats_per_bar]
    frames, places = beat_decoding.decode(
        evidence(every, 520), evidence(lines, 520), level(520), beat_decoding.Weights()
    )
    assert set(frames[places == 0]) - {*every[:1], *every[-1:]} >= set(lines[:-1])
    assert places.max() == beats_per_bar - 1


def test_the_tempo_decides_between_levels_of_beats():
    count = 600
    every = np.arange(5, count, 10)
    likely = np.abs(np.log(beat_decoding.INTERVALS / 20))
    heard = evidence(every, count) * 0.2
    for share, interval in ((0.0, 10), (1.0, 20)):
        frames, _ = beat_decoding.decode(
            heard, np.zeros(count), -share * likely + level(count),
            beat_decoding.Weights(threshold=0.0, tempo=0.5),
        )  # fmt: skip
        assert np.median(np.diff(frames)) == interval


def test_features_tell_where_notes_begin():
    start = np.array([0.0, 0.0, 0.05])
    features = beat_features.frames(
        start, start + 0.1, np.array([40, 60, 80]), np.array([64, 64, 64]), 0.0, 3
    )
    assert features.shape == (3, beat_features.NUM_FEATURES)
    number = features[:, [0, beat_features.PER_HALF]]  # of both halves
    # 0.05 s lies in the first half, 40..60 ms, of the second frame.
    expected = [[np.log(3), 0], [np.log(2), 0], [0, 0]]
    np.testing.assert_allclose(number, expected, rtol=1e-6)
    # The lowest note is 20 below the median, the last 20 above it.
    np.testing.assert_allclose(features[[0, 1], 3] * 24, [-20, 20], rtol=1e-6)


def test_a_dilated_convolution_reads_its_taps():
    values = np.arange(6, dtype=np.float32)[:, None]
    kernel = np.array([1.0, 10.0, 100.0], np.float32).reshape(3, 1, 1)
    made = beat_network._convolved(values, kernel, np.array([0.5], np.float32), 2)
    # x[t-2] + 10 x[t] + 100 x[t+2], zero outside.
    expected = [200.5, 310.5, 420.5, 531.5, 42.5, 53.5]
    np.testing.assert_allclose(made[:, 0], expected)


def test_the_shipped_network_has_the_shape_of_its_module():
    parameters = beat_network.weights()
    assert len(parameters) % beat_network.NUM_ARRAYS == 0
    assert parameters[0].shape[1:] == (beat_features.NUM_FEATURES, beat_network.UNITS)
    assert beat_network.WEIGHTS.stat().st_size < 2_000_000


def test_networks_are_averaged():
    parameters = beat_network.weights()[: beat_network.NUM_ARRAYS]
    moved = (*parameters[:-1], parameters[-1] + 1.0)  # the last bias
    features = np.ones((4, beat_features.NUM_FEATURES), np.float32)
    one, both = (
        beat_network.apply(features, p) for p in (parameters, parameters + moved)
    )
    np.testing.assert_allclose(both[0], one[0] + 0.5, rtol=1e-4)
    np.testing.assert_allclose(np.exp(both[2]).sum(axis=1), 1.0, rtol=1e-6)


def steps(notes, found):
    """Returns the start steps on the grid of the beats, and the warped notes."""
    warped = beat_warping.along(notes, found)
    return sorted(quantization.quantize(warped).start.tolist()), warped


def test_notes_between_beats_land_on_their_steps():
    # The beats slow down: sixteenths in the first beat, eighths in the second.
    times = np.array([1.0, 1.6, 2.4, 3.4, 4.4])
    rows = [(1.0 + 0.15 * k, 1.1 + 0.15 * k, 60 + k, 64) for k in range(4)]
    rows += [(1.6, 2.0, 72, 64), (2.0, 2.4, 74, 64), (2.4, 3.4, 76, 64)]
    found, warped = steps(performance(rows), Beats(times, times[:1]))
    assert found == [0, 1, 2, 3, 4, 6, 8]
    np.testing.assert_allclose(warped.tempo_qpms[:3], [100, 75, 60])
    assert warped.tempo_ticks[:3].tolist() == [0, 480, 960]


def test_beats_in_three_parts_are_dotted_quarters():
    times = np.arange(1.0, 14.0, 0.9)
    rows = [(1.0 + 0.3 * k, 1.2 + 0.3 * k, 60 + k % 9, 64) for k in range(36)]
    found, warped = steps(performance(rows), Beats(times, times[::4]))
    assert found == list(range(0, 72, 2))  # eighths
    assert warped.time_signatures[0].tolist() == [0, 12, 8]
    assert warped.tempo_qpms[0] == pytest.approx(100)  # 1.5 quarters in 0.9 s


def test_beats_in_eight_parts_are_halves():
    times = np.arange(1.0, 18.0, 1.6)
    rows = [(1.0 + 0.2 * k, 1.15 + 0.2 * k, 60 + k % 9, 64) for k in range(64)]
    found, warped = steps(performance(rows), Beats(times, times[::2]))
    assert found == list(range(64))
    assert warped.time_signatures[0].tolist() == [0, 2, 2]


def test_an_upbeat_counts_back_from_the_first_bar_line():
    times = np.arange(1.0, 9.0, 0.5)
    rows = [(t, t + 0.4, 60 + k % 7, 64) for k, t in enumerate(times[:-1])]
    notes = performance(rows)
    warped = beat_warping.along(notes, Beats(times, times[1::3]))
    assert warped.time_signatures[:2].tolist() == [[0, 3, 4], [480, 3, 4]]
    positions = quantization.quantize(warped).bar_position
    assert positions[:8].tolist() == [8, 9, 10, 11, 0, 1, 2, 3]


def test_bars_of_other_lengths_change_the_metre():
    times = np.arange(1.0, 12.0, 0.5)
    rows = [(t, t + 0.4, 60 + k % 7, 64) for k, t in enumerate(times[:-1])]
    lines = times[[0, 4, 8, 11, 14]]
    warped = beat_warping.along(performance(rows), Beats(times, lines))
    assert warped.time_signatures.tolist() == [[0, 4, 4], [8 * 480, 3, 4]]


def test_notes_outside_the_beats_are_kept_and_pedals_follow():
    times = np.array([2.0, 2.5, 3.0])
    rows = [(1.0, 1.4, 60, 64), (2.0, 2.4, 62, 64), (4.0, 4.5, 64, 64)]
    notes = performance(rows, [[1500, 0, 127], [2250, 0, 0]])
    found, warped = steps(notes, Beats(times, times[:1]))
    assert found == [0, 8, 24]
    assert warped.pedals[:, 0].tolist() == [480, 2.5 * 480]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.3, 1.2), min_size=4, max_size=12),
    st.lists(st.tuples(st.floats(0, 12), st.integers(30, 90)), min_size=2),
)
@example([1.0, 1.1875, 0.3125, 0.3046875], [(6.5, 30), (6.5, 30)])
def test_the_warp_keeps_the_order_of_notes_and_loses_none(intervals, placed):
    times = 1.0 + np.concatenate([[0.0], np.cumsum(intervals)])
    rows = [(time, time + 0.1, pitch, 64) for time, pitch in placed]
    notes = performance(rows)
    warped = beat_warping.along(notes, Beats(times, times[::4]))
    assert (np.diff(warped.start_tick) >= 0).all()
    assert (warped.end_tick > warped.start_tick).all()
    assert 0 <= warped.start_tick[0] <= 2 * 480
    np.testing.assert_array_equal(warped.pitch, notes.pitch)
    assert (np.diff(warped.tempo_ticks) > 0).all() and (warped.tempo_qpms > 0).all()


def test_a_picture_shows_the_same_bars_as_played_and_on_the_grid():
    times = np.arange(1.0, 14.0, 0.6)
    found = Beats(times, times[::3])
    rows = [(t, t + 0.5, 60 + k % 7, 64) for k, t in enumerate(times)]
    picture = pictures.draw(performance(rows), found, first_bar=2, bars=4)
    played, placed = picture.axes
    np.testing.assert_allclose(played.get_xlim(), times[[3, 15]])
    np.testing.assert_allclose(placed.get_xlim(), [12, 60])
    for axes in (played, placed):
        lines = [line for line in axes.lines if line.get_color() == figures.RED]
        assert len(lines) == 5


def test_auto_takes_beats_only_where_the_file_explains_the_onsets_badly():
    notes = waltz(rubato(96))
    assert not alignment.explained(notes)
    moved, found = alignment.align(notes)
    assert found.found is not None and len(found.found.beats) > 80
    assert found.error_after < found.error_before
    assert moved.ticks_per_quarter == beat_warping.TICKS_PER_QUARTER
    for parts in (4, 6, 8):
        written = notes.start_tick // 250 * 1000 // parts
        score = dataclasses.replace(notes, start_tick=written, end_tick=written + 9)
        assert alignment.explained(score)
        assert alignment.align(score)[1].found is None
        assert alignment.align(score, by_beats=True)[1].found is not None


def test_the_picture_of_a_report_shows_bars_as_played_and_on_the_grid():
    times = rubato(25)
    notes = waltz(times)
    found = Beats(times, times[::3])
    picture = beat_picture.draw(notes, found, beat_warping.along(notes, found))
    # Six bars, from the first line to the seventh, above and below.
    assert picture.count("#cc3333") == 2 * 7
    assert picture.count("#cccccc") == 2 * (6 * 3 + 1)
    begun = np.count_nonzero(notes_lib.seconds_of(notes)(notes.start_tick) < times[18])
    assert picture.count("<rect") >= 2 * begun - 6  # notes on one step merge
    assert beat_picture.draw(notes, Beats(times, times[:1]), notes) == ""


def test_usual_density_prefers_the_interval_with_four_onsets():
    likely = beats.usual_density(np.arange(0, 60, 0.15))
    best = beat_decoding.INTERVALS[likely.argmax()] * beat_features.FRAME_SECONDS
    assert best == pytest.approx(0.6, abs=0.03)
    assert np.isfinite(beats.usual_density(np.array([1.0]))).all()


def test_half_the_tempo_is_taken_where_it_is_likelier():
    known = beat_decoding.INTERVALS
    likely = np.zeros((60, len(known)))
    likely[:, known == 20] = 1.0
    frame, two, three = np.arange(0, 60, 10), [0, 1] * 3, np.arange(6) % 3
    near = beats._half_tempo(frame, np.array(two), likely)
    # Within a factor of sqrt(2) of 20 frames, the same in all frames.
    np.testing.assert_array_equal(near[[0, -1]], [(known > 14) & (known < 28.2)] * 2)
    # A bar of three has no half; a slow tempo stays; one beat cannot be halved.
    assert beats._half_tempo(frame, three, likely) is None
    assert beats._half_tempo(frame[::2], np.array([0, 1, 0]), likely) is None
    assert beats._half_tempo(frame[:1], np.zeros(1), likely) is None
    longest = np.arange(3) * known[-1]
    flat = np.zeros((300, len(known)))
    assert beats._half_tempo(longest, np.array([0, 1, 0]), flat) is None
