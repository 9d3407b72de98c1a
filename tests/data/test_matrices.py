"""The three matrices: hand-made pieces, and round trips of random pieces."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from note_seq.protobuf import music_pb2

from poph_tf.config.tracks import CHOIR
from poph_tf.data import cells as cells_lib
from poph_tf.data import matrices
from poph_tf.data.matrices import PLAY, REPLAY, VOLUME, Matrices
from poph_tf.errors import InputError


def sequence(notes, *, qpm=120.0, metres=(), ticks_per_quarter=480):
    """Makes a NoteSequence of (pitch, velocity, start, end) in quarters."""
    made = music_pb2.NoteSequence(ticks_per_quarter=ticks_per_quarter)
    made.tempos.add(time=0, qpm=qpm)
    for pitch, velocity, start, end in notes:
        made.notes.add(
            pitch=pitch,
            velocity=velocity,
            start_time=start * 60 / qpm,
            end_time=end * 60 / qpm,
        )
    for quarter, numerator, denominator in metres:
        made.time_signatures.add(
            time=quarter * 60 / qpm, numerator=numerator, denominator=denominator
        )
    made.total_time = max((n.end_time for n in made.notes), default=0)
    return made


def rows(piece, pitch):
    """Returns (play, replay, volume) of one pitch, step by step."""
    return [tuple(int(x) for x in cell) for cell in piece.cells[:, pitch]]


def test_a_note_struck_again_while_it_sounds_is_a_replay_with_its_own_volume():
    piece = matrices.from_sequence(sequence([(60, 64, 0, 0.5), (60, 100, 0.5, 1)]))
    assert rows(piece, 60) == [(1, 0, 64), (1, 0, 64), (1, 1, 100), (1, 0, 100)]
    assert piece.cells[..., PLAY].sum() == 4


def test_a_rest_between_notes_leaves_no_replay():
    piece = matrices.from_sequence(sequence([(60, 64, 0, 0.25), (60, 70, 0.5, 0.75)]))
    assert rows(piece, 60) == [(1, 0, 64), (0, 0, 0), (1, 0, 70)]


def test_a_later_onset_is_a_replay_within_the_earlier_note_of_its_pitch():
    piece = matrices.from_sequence(sequence([(60, 64, 0, 4), (60, 50, 1, 1.5)]))
    assert len(piece) == 16
    assert rows(piece, 60)[3:7] == [(1, 0, 64), (1, 1, 50), (1, 0, 50), (1, 0, 50)]
    assert piece.play[:, 60].all() and piece.replay[:, 60].sum() == 1


def test_notes_on_one_step_and_pitch_become_the_longest_and_loudest():
    piece = matrices.from_sequence(sequence([(60, 30, 0, 1), (60, 90, 0, 0.5)]))
    assert rows(piece, 60) == [(1, 0, 90)] + [(1, 0, 90)] * 3


@pytest.mark.parametrize(
    ("start", "step"), [(0.124, 0), (0.125, 1), (0.126, 1), (0.375, 2), (0.374, 1)]
)
def test_onsets_go_to_the_nearest_step_halves_up(start, step):
    piece = matrices.from_sequence(
        sequence([(60, 64, start, 1)], ticks_per_quarter=1000)
    )
    assert np.flatnonzero(piece.play[:, 60])[0] == step


def test_a_note_lasts_at_least_one_step():
    piece = matrices.from_sequence(sequence([(60, 64, 0, 0.01)]))
    assert rows(piece, 60) == [(1, 0, 64)]


def test_drums_are_left_out_unless_asked_for():
    made = sequence([(60, 64, 0, 1)])
    made.notes.add(pitch=36, velocity=99, start_time=0, end_time=1, is_drum=True)
    assert matrices.from_sequence(made).play[:, 36].sum() == 0
    assert matrices.from_sequence(made, drums=True).play[:, 36].sum() == 8


def test_the_pedal_lengthens_notes_only_when_asked():
    made = sequence([(60, 64, 0, 0.25), (64, 64, 0, 0.25), (64, 70, 0.5, 0.75)])
    for time, value in ((0.05, 127), (0.5, 0)):  # up at quarter 1 = step 4
        made.control_changes.add(time=time, control_number=64, control_value=value)
    assert matrices.from_sequence(made).play[:, 60].sum() == 1
    piece = matrices.from_sequence(made, sustain=True)
    assert piece.play[:, 60].tolist() == [1, 1, 1, 1]
    assert rows(piece, 64) == [(1, 0, 64), (1, 0, 64), (1, 1, 70), (1, 0, 70)]


def test_a_pedal_that_never_goes_up_holds_to_the_end_of_the_piece():
    made = sequence([(60, 64, 0, 0.25), (64, 64, 1, 2)])
    made.control_changes.add(time=0.0, control_number=64, control_value=64)
    assert matrices.from_sequence(made, sustain=True).play[:, 60].sum() == 8


def test_tempo_changes_leave_positions_alone_and_set_the_mean_tempo():
    made = sequence([(60, 64, 0, 1)], qpm=60)
    made.tempos.add(time=1.0, qpm=120)  # at quarter 1
    made.notes.add(pitch=62, velocity=64, start_time=1.0, end_time=1.5)  # 1..2
    piece = matrices.from_sequence(made)
    assert np.flatnonzero(piece.play[:, 62]).tolist() == [4, 5, 6, 7]
    assert piece.tempo_qpm == 80.0  # two quarters in a second and a half


def test_bar_positions_follow_the_time_signatures():
    made = sequence([(60, 64, 0, 8)], metres=[(0, 3, 4), (3, 4, 4)])
    piece = matrices.from_sequence(made)
    expected = [*range(12), *range(16), *range(4)]
    assert piece.bar_position.tolist() == expected
    assert piece.time_signatures == ((0, 3, 4), (12, 4, 4))


def test_without_a_time_signature_bars_are_four_quarters():
    piece = matrices.from_sequence(sequence([(60, 64, 0, 5)]))
    assert piece.bar_position.tolist() == [*range(16), *range(4)]


def test_a_first_bar_cut_short_is_an_upbeat_and_counts_back():
    made = sequence([(60, 64, 0, 5)], metres=[(0, 4, 4), (1, 4, 4)])
    piece = matrices.from_sequence(made)
    assert piece.bar_position.tolist() == [12, 13, 14, 15, *range(16)]


def test_bar_lines_between_steps_go_to_the_nearest():
    # 5/32 is 2.5 steps of a sixteenth: lines at 0, 2.5, 5, 7.5 -> 0, 3, 5, 8.
    made = sequence([(60, 64, 0, 2.5)], metres=[(0, 5, 32)])
    piece = matrices.from_sequence(made)
    assert np.flatnonzero(piece.bar_position == 0).tolist() == [0, 3, 5, 8]


def test_bars_longer_than_a_byte_stop_counting_at_255():
    made = sequence([(60, 64, 0, 80)], metres=[(0, 100, 4)])
    piece = matrices.from_sequence(made)
    assert piece.bar_position[254:258].tolist() == [254, 255, 255, 255]


def test_a_piece_without_notes_has_no_steps():
    piece = matrices.from_sequence(music_pb2.NoteSequence())
    assert piece.cells.shape == (0, 128, 3)
    assert piece.bar_position.shape == (0,)
    assert piece.tempo_qpm == 120.0


def test_impossible_times_and_pitches_raise():
    for start, end in ((float("nan"), 1), (-1, 1), (0, float("inf"))):
        made = music_pb2.NoteSequence()
        made.notes.add(pitch=60, velocity=1, start_time=start, end_time=end)
        with pytest.raises(InputError, match="finite"):
            matrices.from_sequence(made)
    made = music_pb2.NoteSequence()
    made.notes.add(pitch=200, velocity=1, start_time=0, end_time=1)
    with pytest.raises(InputError, match=r"0\.\.127"):
        matrices.from_sequence(made)


def test_a_piece_over_max_steps_is_refused_before_it_takes_memory():
    made = sequence([(60, 64, 0, 1e7)])
    with pytest.raises(InputError, match="longer than 1000 steps"):
        matrices.from_sequence(made, max_steps=1000)


@st.composite
def canonical_pieces(draw):
    """Draws canonical matrices with any bar lines."""
    steps = draw(st.integers(0, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 0.9]))
    cells = np.zeros((steps, 128, 3), np.uint8)
    cells[..., PLAY] = random.random((steps, 128)) < density
    cells[..., REPLAY] = random.random((steps, 128)) < 0.3
    cells[..., VOLUME] = random.integers(0, 128, (steps, 128))
    bar = random.integers(0, 256, steps) * (random.random(steps) < 0.8)
    qpm = draw(st.floats(20, 400))
    grid = draw(st.sampled_from([1, 3, 4, 7, 12, 24]))
    return matrices.canonical(Matrices(cells, bar.astype(np.uint8), qpm, grid))


@settings(max_examples=60, deadline=None)
@given(canonical_pieces())
def test_matrices_to_sequence_and_back_is_the_identity(piece):
    matrices.validate(piece)
    back = matrices.from_sequence(
        matrices.to_sequence(piece), steps_per_quarter=piece.steps_per_quarter
    )
    assert back == piece


@settings(max_examples=30, deadline=None)
@given(canonical_pieces())
def test_canonical_is_idempotent_and_keeps_the_onsets(piece):
    assert matrices.canonical(piece) == piece
    start, end, pitch, velocity = matrices.spans(piece.cells)
    assert len(start) == matrices.onsets(piece.cells).sum()
    assert (end > start).all()
    assert (end - start).sum() == piece.play.sum()
    assert (piece.volume[start, pitch] == velocity).all()


def test_validate_names_the_first_wrong_cell():
    piece = matrices.from_sequence(sequence([(60, 64, 0, 1)]))
    for place, value, words in (
        ((0, 60, REPLAY), 1, "replay at step 0, pitch 60 must be 0, got 1"),
        ((1, 60, VOLUME), 3, "volume at step 1, pitch 60 must be 64, got 3"),
        ((2, 61, VOLUME), 3, "volume at step 2, pitch 61 must be 0, got 3"),
        ((2, 61, PLAY), 2, "play at step 2, pitch 61 must be 1, got 2"),
    ):
        cells = piece.cells.copy()
        cells[place] = value
        with pytest.raises(InputError, match=words):
            matrices.validate(dataclasses.replace(piece, cells=cells))
    bar = np.array([0, 1, 5, 3], np.uint8)
    with pytest.raises(InputError, match="bar_position at step 2"):
        matrices.validate(dataclasses.replace(piece, bar_position=bar))
    with pytest.raises(InputError, match=r"bar_position must be \[4\], got shape"):
        matrices.validate(dataclasses.replace(piece, bar_position=bar[:3]))
    for tempo in (0, np.nan, np.inf):
        with pytest.raises(InputError, match=f"tempo_qpm must be at .*, got {tempo}"):
            matrices.validate(dataclasses.replace(piece, tempo_qpm=tempo))


def test_validate_looks_at_the_tracks_and_their_merger():
    cells = np.zeros((4, 128, 3), np.uint8)
    cells[:, 60] = (1, 0, 80)
    own = matrices.TrackCells("alto", 0, False, cells)
    piece = matrices.Matrices(cells, np.arange(4, dtype=np.uint8), tracks=(own,))
    matrices.validate(piece)
    wrong = cells.copy()
    wrong[1, 60, VOLUME] = 3
    for part, words in (
        (wrong, "track 'alto': volume at step 1, pitch 60 must be 80, got 3"),
        (cells[:3], "track 'alto': has 3 steps, the piece 4"),
        (cells[:, :12], r"track 'alto': cells must be \[time, 128, 3\]"),
        (0 * cells, "the merged tracks: play at step 0, pitch 60 must be 0"),
    ):
        track = dataclasses.replace(own, cells=part)
        with pytest.raises(InputError, match=words):
            matrices.validate(dataclasses.replace(piece, tracks=(track,)))


def test_time_signatures_are_guessed_from_bar_positions_when_none_are_given():
    cells = np.zeros((40, 128, 3), np.uint8)
    cells[:, 60] = (1, 0, 64)
    bar = [8, 9, 10, 11, *range(12), *range(12), *range(12)]
    made = matrices.to_sequence(Matrices(cells, np.array(bar, np.uint8)))
    signatures = [(t.time, t.numerator, t.denominator) for t in made.time_signatures]
    assert signatures == [(0.0, 3, 4), (0.5, 3, 4)]
    assert not made.text_annotations
    assert matrices.from_sequence(made).bar_position.tolist() == bar


def test_each_note_falls_where_a_loop_over_notes_would_put_it():
    random = np.random.default_rng(5)
    notes = []
    for _ in range(300):
        start = int(random.integers(0, 200))
        length = int(random.integers(1, 12))
        pitch, velocity = random.integers(50, 60), random.integers(1, 128)
        notes.append((int(pitch), int(velocity), start / 4, (start + length) / 4))
    piece = matrices.from_sequence(sequence(notes))
    expected = np.zeros_like(piece.cells)
    merged = {}
    for pitch, velocity, start, end in notes:
        old = merged.get((start, pitch), (0, 0))
        merged[start, pitch] = (max(old[0], velocity), max(old[1], end))
    for (start, pitch), (velocity, end) in sorted(merged.items()):
        first, last = round(start * 4), round(end * 4)
        was = first > 0 and expected[first - 1, pitch, PLAY]
        # A note that started earlier and still sounds takes the velocity of this onset.
        sounding = expected[first:, pitch, PLAY].nonzero()[0]
        last = max(last, first + len(sounding))
        expected[first:last, pitch] = (1, 0, velocity)
        expected[first, pitch, REPLAY] = was
    np.testing.assert_array_equal(piece.cells, expected)


def test_bars_left_are_the_bar_lines_to_come():
    # A pickup of one step, a bar of four, and a last bar without the pickup's step.
    positions = np.array([3, 0, 1, 2, 3, 0, 1, 2], np.uint8)
    piece = Matrices(np.zeros((8, 128, 3), np.uint8), positions)
    assert piece.bars_left.tolist() == [2, 1, 1, 1, 1, 0, 0, 0]
    whole = dataclasses.replace(piece, bar_position=np.arange(8, dtype=np.uint8) % 4)
    assert whole.bars_left.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    pickup = dataclasses.replace(piece, bar_position=np.arange(8, 16, dtype=np.uint8))
    assert pickup.bars_left.tolist() == [0] * 8
    short = dataclasses.replace(piece, bar_position=np.zeros(8, np.uint8))
    assert short.bars_left.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_tracks_that_a_piece_lacks_are_silent_where_asked():
    own = np.zeros((4, 128, 3), np.uint8)
    own[:, 60] = (1, 0, 80)
    piece = matrices.from_stack(own[:, np.newaxis], CHOIR[:1], np.arange(4))
    stack = piece.stack(CHOIR[:2], partial=True)
    assert stack.shape == (4, 2, 128, 3)
    np.testing.assert_array_equal(stack[:, 0], own)
    assert not stack[:, 1].any()
    with pytest.raises(InputError, match="no track alto; it has soprano"):
        piece.stack(CHOIR[:2])


def test_the_types_and_the_slowest_tempo_of_matrices():
    piece = Matrices(np.zeros((4, 128, 3), np.uint8), np.arange(4, dtype=np.uint8))
    matrices.validate(dataclasses.replace(piece, tempo_qpm=0.001))
    for field in ("cells", "bar_position"):
        wrong = {field: getattr(piece, field).astype(np.int64)}
        with pytest.raises(InputError, match="must be uint8"):
            matrices.validate(dataclasses.replace(piece, **wrong))


def test_volumes_of_canonical_cells_are_those_of_midi():
    cells = np.zeros((3, 2, 3), np.uint8)
    cells[:, 0] = [(1, 0, 200), (0, 0, 9), (5, 1, 0)]
    right = cells_lib.canonical(cells)
    assert right[:, 0].tolist() == [[1, 0, 127], [0, 0, 0], [1, 0, 1]]
    assert not right[:, 1].any()


def test_notes_outside_a_range_are_counted_in_words():
    cells = np.zeros((4, 128, 3), np.uint8)
    for pitch in (59, 60, 72, 73):
        cells[:2, pitch] = (1, 0, 80)
    cells[1, 73, REPLAY] = 1
    assert cells_lib.share_outside(cells, 60, 72) == "3 of 5 notes (60%)"
    tracks = np.stack([cells, cells], axis=1)
    assert cells_lib.share_outside(tracks, 60, 73) == "2 of 10 notes (20%)"
    assert cells_lib.share_outside(cells, 59, 73) == ""
    assert cells_lib.share(0, 0) == "0 of 0 notes (0%)"


def test_pieces_are_equal_by_cells_bars_tempo_and_grid():
    piece = Matrices(np.zeros((4, 128, 3), np.uint8), np.arange(4, dtype=np.uint8))
    other = {
        "cells": np.ones_like(piece.cells),
        "bar_position": np.zeros(4, np.uint8),
        "tempo_qpm": 99.0,
        "steps_per_quarter": 3,
    }
    for field, value in other.items():
        assert piece != dataclasses.replace(piece, **{field: value}), field
    alike = {"title": "A", "time_signatures": ((0, 3, 4),), "cells": piece.cells.copy()}
    assert piece == dataclasses.replace(piece, **alike)
    assert piece != "piece"


def test_a_sequence_has_a_piano_or_an_instrument_for_each_track():
    cells = np.zeros((3, 128, 3), np.uint8)
    cells[1:, 60] = (1, 0, 80)
    bars = np.arange(3, dtype=np.uint8)
    piece = Matrices(cells, bars, tempo_qpm=60.0, steps_per_quarter=7)
    tracks = tuple(
        matrices.TrackCells(name, program, is_drum, cells)
        for name, program, is_drum in (("flute", 73, False), ("kit", 0, True))
    )
    for own, expected in (
        ((), [(0, 0, False)]),
        (tracks, [(0, 73, False), (1, 0, True)]),
    ):
        sequence = matrices.to_sequence(dataclasses.replace(piece, tracks=own))
        found = [(n.instrument, n.program, n.is_drum) for n in sequence.notes]
        assert found == expected
        assert [i.name for i in sequence.instrument_infos] == [t.name for t in own]
        assert sequence.ticks_per_quarter % 7 == 0
        (note, *_) = sequence.notes
        times = (note.start_time, note.end_time, sequence.total_time)
        np.testing.assert_allclose(times, [1 / 7, 3 / 7, 3 / 7])
