"""Data sets as tf.data: splits, fractions of splits, batches."""

import inspect

import numpy as np
import pytest
import small

from poph_tf import data
from poph_tf.data import loading
from poph_tf.errors import InputError

TRAIN = [small.random_piece(seed, 8 + 2 * seed) for seed in range(5)]
VALID = [small.random_piece(9, 40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    splits = {"train": TRAIN, "valid": VALID}
    return small.write_data_set(folder, splits, styles=("a", "b"))


def lengths(pieces):
    return [int(piece["length"]) for piece in pieces]


def test_the_pieces_of_a_split_come_as_they_were_written(folder):
    pieces = list(data.load(folder, split="train"))
    for found, made in zip(pieces, TRAIN, strict=True):
        np.testing.assert_array_equal(found["cells"], made.cells)
        np.testing.assert_array_equal(found["bar_position"], made.bar_position)
    assert [piece["style"].numpy() for piece in pieces[:2]] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", [8, 10, 12, 14, 16]),
        ("train[:40%]", [8, 10]),
        ("train[40%:]", [12, 14, 16]),
        ("train[-1:]", [16]),
        ("train[1:3]+valid", [10, 12, 40]),
        ("train[3:1]", []),
    ],
)
def test_splits_are_named_as_in_tensorflow_datasets(folder, split, expected):
    pieces = data.load(folder, split=split)
    assert lengths(pieces) == expected
    assert pieces.cardinality() == len(expected)


def test_without_a_split_there_are_all(folder):
    found = data.load(folder)
    assert {k: v.cardinality().numpy() for k, v in found.items()} == {
        "train": 5, "valid": 1,
    }  # fmt: skip


def test_a_batch_is_filled_up_with_silence(folder):
    (batch,) = data.load(folder, split="train[:2]", batch_size=4)
    assert batch["cells"].shape == (2, 10, 128, 3)
    assert batch["length"].numpy().tolist() == [8, 10]
    np.testing.assert_array_equal(batch["cells"][0, :8], TRAIN[0].cells)
    assert not batch["cells"][0, 8:].numpy().any()


def test_an_impossible_split_is_refused(folder):
    with pytest.raises(InputError, match="has no split 'all'; it has train, valid"):
        data.load(folder, split="all")
    with pytest.raises(
        InputError, match=r"train\[:10%\] or train\+valid, got 'train\[9'"
    ):
        data.load(folder, split="train[9")


def test_the_package_shows_the_arguments_of_load():
    assert inspect.signature(data.load) == inspect.signature(loading.load)
