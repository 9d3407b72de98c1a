"""Piano-roll benchmarks: each kind of file, limits on its contents, the notes."""

import pickle

import numpy as np
import pytest
from scipy import io

from poph_tf.data import examples, matrices, piano_rolls
from poph_tf.errors import InputError


def pickled(folder, piece):
    path = folder / "a.pickle"
    path.write_bytes(pickle.dumps(dict.fromkeys(examples.SPLITS, [piece])))
    return path


def test_the_88_keys_of_a_piano_are_read_and_no_other(tmp_path):
    rolls = piano_rolls.read(pickled(tmp_path, [(21, 108), (), (60,)]))
    assert list(rolls) == ["train", "valid", "test"]
    (roll,) = rolls["train"]
    assert roll.shape == (3, 88) and roll.dtype == np.uint8
    assert [np.flatnonzero(row).tolist() for row in roll] == [[0, 87], [], [39]]
    for pitch in (20, 109):
        words = f"train, piece 0: pitches must be 21 to 108, got {pitch} at step 1"
        with pytest.raises(InputError, match=words):
            piano_rolls.read(pickled(tmp_path, [(), (60, pitch)]))


def test_arrays_of_matlab_are_read_and_must_have_88_pitches(tmp_path):
    roll = np.zeros((2, 88))
    roll[1, [0, 87]] = 1
    for width, refused in ((88, False), (87, True)):
        cell = np.empty((1, 1), object)
        cell[0, 0] = roll[:, :width]
        path = tmp_path / f"{width}.mat"
        io.savemat(path, {f"{name}data": cell for name in examples.SPLITS})
        if refused:
            with pytest.raises(InputError, match="train must hold rolls of 88 pitches"):
                piano_rolls.read(path)
        else:
            (read,) = piano_rolls.read(path)["test"]
            np.testing.assert_array_equal(read, roll)


def test_a_run_of_play_is_one_note_of_middle_loudness():
    roll = np.zeros((18, 88), np.uint8)
    roll[0:17, 39] = 1  # middle C, across a bar line
    roll[3, 0] = roll[5, 0] = 1
    piece = piano_rolls.to_matrices(roll)
    matrices.validate(piece)
    notes = np.transpose(matrices.spans(piece.cells)).tolist()
    assert notes == [[0, 17, 60, 64], [3, 4, 21, 64], [5, 6, 21, 64]]
    assert piece.bar_position.tolist() == [*range(16), 0, 1]


def test_voices_have_the_pitches_of_midi():
    piece = piano_rolls._pitches([[127, 1, np.nan, 0]])
    assert piece.tolist() == [[127, 1, 0, 0]] and piece.dtype == np.uint8
    for pitch in (-1, 128):
        with pytest.raises(InputError, match="pitches must be 0 to 127"):
            piano_rolls._pitches([[60, pitch, 60, 60]])
    for shape in ((4,), (1, 3), (1, 4, 1)):
        with pytest.raises(InputError, match=r"pieces must be \[steps, 4\]"):
            piano_rolls._pitches(np.full(shape, 60))
    made = piano_rolls.voices_to_matrices(np.array([[72, 0, 0, 48]] * 18, np.uint8))
    assert made.bar_position.tolist() == [*range(16), 0, 1]
    notes = np.transpose(matrices.spans(made.cells)).tolist()
    assert notes == [[0, 18, 48, 64], [0, 18, 72, 64]]


def test_packed_rolls_are_cut_at_their_lengths(tmp_path):
    rolls = np.zeros((6, 88), np.uint8)
    rolls[np.arange(6), np.arange(6)] = 1
    arrays = {name: np.packbits(rolls, axis=1) for name in examples.SPLITS}
    lengths = {f"{name}_lengths": [1, 2, 3] for name in examples.SPLITS}
    np.savez(tmp_path / "a.npz", **arrays, **lengths)
    read = piano_rolls.read(tmp_path / "a.npz")["valid"]
    assert [len(roll) for roll in read] == [1, 2, 3]
    np.testing.assert_array_equal(np.concatenate(read), rolls)


@pytest.mark.parametrize(
    ("width", "lengths", "words"),
    [
        (12, [4], r"valid must be packed rows of 11 bytes, got shape \(4, 12\)"),
        (11, [3], "valid must be positive and sum to its 4 rows, got a sum of 3"),
        (11, [4, 0], "valid must be positive and sum to its 4 rows, got a sum of 4"),
    ],
)
def test_packed_rolls_of_another_size_are_refused(tmp_path, width, lengths, words):
    good = {name: np.zeros((4, 11), np.uint8) for name in examples.SPLITS}
    good |= {f"{name}_lengths": np.array([4]) for name in examples.SPLITS}
    bad = {"valid": np.zeros((4, width), np.uint8), "valid_lengths": np.array(lengths)}
    np.savez(tmp_path / "a.npz", **(good | bad))
    with pytest.raises(InputError, match=words):
        piano_rolls.read(tmp_path / "a.npz")


def test_files_that_are_no_benchmark_are_refused(tmp_path):
    (tmp_path / "a.npz").write_text("text")
    for name, words in (
        ("a.npz", "not a piano-roll benchmark"),
        ("b.npz", "There is no file"),
        ("a.txt", "must be one of .npz"),
    ):
        with pytest.raises(InputError, match=words):
            piano_rolls.read(tmp_path / name)
    for name, words in (("a.npz", "not a file of chorales"), ("b.npz", "There is no")):
        with pytest.raises(InputError, match=words):
            piano_rolls.read_voices(tmp_path / name)


@pytest.mark.parametrize("hostile", [np.save, print])
def test_pieces_with_their_voices_cannot_run_code(tmp_path, hostile):
    pieces = np.empty(1, object)
    pieces[0] = hostile
    np.savez(tmp_path / "a.npz", **dict.fromkeys(examples.SPLITS, pieces))
    with pytest.raises(InputError, match=r"refuses (numpy|builtins)\.\w+"):
        piano_rolls.read_voices(tmp_path / "a.npz")
