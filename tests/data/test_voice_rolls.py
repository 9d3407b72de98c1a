"""Chorales in a file of four voices: read, written as records, rejected."""

import numpy as np
import pytest

from poph_tf.config.tracks import CHOIR
from poph_tf.data import dataset, examples, matrices, piano_rolls
from poph_tf.errors import InputError

NAN = np.nan
# The bass is silent at the second step; soprano and alto share a pitch at the third.
PIECE = np.array(
    [[72, 67, 64, 48], [72, 67, 64, NAN], [74, 74, 62, 55]], np.float16
)  # fmt: skip


def saved(path, piece):
    pieces = np.empty(1, object)
    pieces[0] = piece
    np.savez(path, **dict.fromkeys(examples.SPLITS, pieces))
    return path


def test_voices_become_tracks_of_records(tmp_path):
    splits = piano_rolls.read_voices(saved(tmp_path / "a.npz", PIECE))
    info = piano_rolls.write_voices(splits, "chorales", tmp_path / "data")
    assert info.tracks == CHOIR and all(track.voice for track in info.tracks)
    (piece,) = dataset.read_split(tmp_path / "data", "test")
    assert [t.name for t in piece.matrices.tracks] == [t.name for t in CHOIR]
    notes = [
        [tuple(map(int, row)) for row in zip(*matrices.spans(t.cells)[:3], strict=True)]
        for t in piece.matrices.tracks
    ]
    soprano, alto, _, bass = notes
    assert soprano == [(0, 2, 72), (2, 3, 74)]
    assert alto == [(0, 2, 67), (2, 3, 74)]
    assert bass == [(0, 1, 48), (2, 3, 55)]
    assert piece.matrices.play.sum(axis=1).tolist() == [4, 3, 3]


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (PIECE[:, :3], r"pieces must be \[steps, 4\], got shape \(3, 3\)"),
        (PIECE + 100, "pitches must be 0 to 127"),
        (print, "not a file of chorales: UnpicklingError"),
    ],
)
def test_files_of_other_things_are_refused(tmp_path, piece, words):
    path = saved(tmp_path / "a.npz", piece)
    with pytest.raises(InputError, match=words):
        piano_rolls.read_voices(path)


def test_packed_pieces_of_a_single_step_are_read_and_empty_ones_refused(tmp_path):
    rows = np.zeros((3, piano_rolls.NUM_PITCHES // 8), np.uint8)
    rows[:, 0] = 0b10000000
    for lengths, refused in (([1, 2], False), ([0, 3], True), ([1, 1], True)):
        arrays = dict.fromkeys(examples.SPLITS, rows)
        arrays |= {f"{name}_lengths": np.array(lengths) for name in examples.SPLITS}
        np.savez(tmp_path / "a.npz", **arrays)
        if refused:
            with pytest.raises(InputError, match="lengths of train must be positive"):
                piano_rolls.read(tmp_path / "a.npz")
        else:
            pieces = piano_rolls.read(tmp_path / "a.npz")["train"]
            assert [roll.shape for roll in pieces] == [(1, 88), (2, 88)]
            assert [int(roll.sum()) for roll in pieces] == [1, 2]
