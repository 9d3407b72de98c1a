"""Pieces as tracks: instruments, merging them, stacks of a model's tracks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from note_seq.protobuf import music_pb2

from poph_tf.config import Track
from poph_tf.data import cells as cells_lib
from poph_tf.data import instruments, matrices, midi, quantization
from poph_tf.data import notes as notes_lib
from poph_tf.errors import InputError

QUARTER = 0.5  # seconds
MELODY = Track("melody", voice=True)


def duet():
    """A half-note C5 on a violin, two C3 on a cello, a drum on each quarter."""
    sequence = music_pb2.NoteSequence(ticks_per_quarter=480, total_time=1.0)
    sequence.tempos.add(qpm=120)
    rows = [(72, 0, 2, 1, 40), (48, 0, 1, 2, 42), (48, 1, 2, 2, 42)]
    for pitch, start, end, instrument, program in rows:
        sequence.notes.add(
            pitch=pitch, velocity=90, start_time=start * QUARTER,
            end_time=end * QUARTER, instrument=instrument, program=program,
        )  # fmt: skip
    for start in (0.0, 0.5):
        sequence.notes.add(
            pitch=36, velocity=90, start_time=start, end_time=start + 0.1,
            instrument=9, is_drum=True,
        )  # fmt: skip
    sequence.instrument_infos.add(instrument=1, name="Violin")
    sequence.instrument_infos.add(instrument=2, name="Cello")
    return sequence


def described(piece):
    """Returns name, program, drums and notes (start, end, pitch) of each track."""
    return [
        (t.name, t.program, t.is_drum, [list(map(int, n[:3])) for n in notes_of(t)])
        for t in piece.tracks
    ]


def notes_of(track):
    return zip(*matrices.spans(track.cells), strict=True)


VIOLIN = ("Violin", 40, False, [[0, 8, 72]])
CELLO = ("Cello", 42, False, [[0, 4, 48], [4, 8, 48]])


def test_each_instrument_is_a_track_and_drums_are_only_if_asked_for():
    piece = matrices.from_sequence(duet())
    assert described(piece) == [VIOLIN, CELLO]
    assert piece.tracks[0].cells.shape == piece.cells.shape == (8, 128, 3)
    with_drums = matrices.from_sequence(duet(), drums=True)
    kit = ("", 0, True, [[0, 1, 36], [4, 5, 36]])
    assert described(with_drums) == [VIOLIN, CELLO, kit]


def test_the_cells_are_those_of_all_tracks_merged():
    piece = matrices.from_sequence(duet())
    names = [Track("Violin"), Track("Cello")]
    np.testing.assert_array_equal(cells_lib.merged(piece.stack(names)), piece.cells)


def test_a_note_struck_in_one_track_while_another_holds_it_is_a_replay():
    stack = np.zeros((6, 2, 128, 3), np.uint8)
    stack[:, 0, 60] = (1, 0, 50)
    stack[2:4, 1, 60] = (1, 0, 90)
    play, replay, volume = cells_lib.merged(stack)[:, 60].T.tolist()
    assert play == [1] * 6
    assert replay == [0, 0, 1, 0, 0, 0]
    assert volume == [50, 50, 90, 90, 90, 90]


def test_of_notes_struck_at_once_the_loudest_counts():
    stack = np.zeros((2, 2, 128, 3), np.uint8)
    stack[:, 0, 60] = (1, 0, 50)
    stack[:, 1, 60] = (1, 0, 90)
    assert cells_lib.merged(stack)[:, 60].tolist() == [[1, 0, 90]] * 2


def test_a_sequence_keeps_the_tracks():
    piece = matrices.from_sequence(duet(), drums=True)
    again = matrices.from_sequence(matrices.to_sequence(piece), drums=True)
    assert described(again) == described(piece)
    assert again == piece


@pytest.mark.parametrize("read", [matrices.from_file, midi.read])
def test_a_midi_file_has_a_track_for_each_with_name_and_program(read, tmp_path):
    piece = matrices.from_sequence(duet())
    midi.write(matrices.to_sequence(piece), tmp_path / "a.mid")
    again = read(tmp_path / "a.mid")
    if read is midi.read:
        again = matrices.from_sequence(again)
    assert described(again) == [VIOLIN, CELLO]


def test_a_stack_follows_the_models_tracks():
    piece = matrices.from_sequence(duet())
    stack = piece.stack([Track("Cello"), Track("Violin")])
    np.testing.assert_array_equal(stack[:, 1], piece.tracks[0].cells)
    with pytest.raises(InputError, match="no track Flute; it has Violin, Cello"):
        piece.stack([Track("Flute")])
    silent = piece.stack([Track("Flute"), Track("Violin")], partial=True)
    assert not silent[:, 0].any() and silent[:, 1].any()


def test_a_stack_becomes_a_piece_again():
    piece = matrices.from_sequence(duet())
    tracks = (Track("Violin", 40), Track("Cello", 42))
    again = matrices.from_stack(piece.stack(tracks), tracks, piece.bar_position)
    assert described(again) == described(piece)
    assert again == piece


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 3))
def test_any_tracks_go_through_a_sequence_and_come_back(seed, steps, count):
    random = np.random.default_rng(seed)
    stack = np.zeros((steps, count, 128, 3), np.uint8)
    stack[..., 50:62, 0] = random.random((steps, count, 12)) < 0.3
    stack[..., 1:] = random.integers(0, 128, (steps, count, 128, 2))
    stack[0, :, 55, 0] = 1  # A track without notes would be lost.
    tracks = [Track(f"track{k}", int(random.integers(128))) for k in range(count)]
    bars = (np.arange(steps) % 16).astype(np.uint8)
    piece = matrices.from_stack(stack, tracks, bars)
    again = matrices.from_sequence(matrices.to_sequence(piece))
    assert again == piece
    np.testing.assert_array_equal(again.stack(tracks), piece.stack(tracks))
    assert [t.program for t in again.tracks] == [t.program for t in tracks]


def melody(rows, steps_per_quarter=4):
    """Quantizes notes (start, end in quarters, pitch) as a voice."""
    sequence = music_pb2.NoteSequence(ticks_per_quarter=480, total_time=2.0)
    sequence.tempos.add(qpm=120)
    for start, end, pitch in rows:
        sequence.notes.add(
            pitch=pitch, velocity=90, start_time=start * QUARTER, end_time=end * QUARTER
        )
    notes = notes_lib.from_sequence(sequence)
    whole = quantization.quantize(notes, steps_per_quarter)
    masks = {MELODY: np.ones(len(rows), bool)}
    piece = instruments.quantize_tracks(notes, masks, whole)[MELODY]
    return sorted(zip(*map(np.ndarray.tolist, (piece.start, piece.end)), strict=True))


def test_a_voice_played_legato_has_one_note_at_a_time():
    rows = [(0, 1.25, 60), (1, 2.2, 62), (2, 3, 64)]
    assert melody(rows) == [(0, 4), (4, 8), (8, 12)]
    # With 24 steps per quarter, a sixteenth is six steps.
    assert melody(rows, steps_per_quarter=24)[0] == (0, 24)


@pytest.mark.parametrize("second", [(1, 2, 62), (0, 0.25, 62), (0.5, 0.75, 62)])
def test_a_voice_with_several_notes_at_once_is_refused(second):
    rows = [(0, 1.5, 60), second] if second[0] else [(0, 0.25, 60), second]
    with pytest.raises(InputError, match="several notes at once in the voice melody"):
        melody(rows)
