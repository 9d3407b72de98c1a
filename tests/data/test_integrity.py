"""Missing or replaced files of a data set are reported before it is used."""

import pathlib
import shutil

import pytest
import small

from poph_tf.data import examples, integrity, shards
from poph_tf.errors import InputError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    pieces = [small.random_piece(k, 6) for k in range(6)]
    splits = {"train": pieces[:4], "valid": pieces[4:]}
    return small.write_data_set(tmp_path_factory.mktemp("d") / "set", splits, shards=2)


@pytest.fixture
def folder(whole, tmp_path):
    return pathlib.Path(shutil.copytree(whole, tmp_path / "set"))


def check(folder, **options):
    return integrity.check(examples.read_info(folder), folder, **options)


def shard(folder, split, k):
    return folder / examples.shard_name(split, k, 2)


def emptied(folder):
    shard(folder, "train", 1).write_bytes(b"")
    return "train-00001-of-00002.tfrecord.gz holds 0 pieces, 2 were written"


def cut_between_records(folder):
    path = shard(folder, "train", 0)
    (_, first), _ = shards.read(path)
    path.write_bytes(shards.framed(first))
    return "train-00000-of-00002.tfrecord.gz holds 1 pieces, 2 were written"


def overwritten_by_its_neighbour(folder):
    shutil.copy(shard(folder, "train", 0), shard(folder, "train", 1))
    return "train-0000.-of-00002.tfrecord.gz holds the pieces of another shard"


def overwritten_by_another_split(folder):
    for k in range(2):
        shutil.copy(shard(folder, "train", 0), shard(folder, "train", 1))
        content = [record for _, record in shards.read(shard(folder, "train", 1))]
        path = shard(folder, "valid", k)
        path.write_bytes(shards.framed(content[k]))
    shutil.copy(shard(folder, "valid", 0), shard(folder, "valid", 1))
    return "another shard"


def removed(folder):
    shard(folder, "valid", 1).unlink()
    return "valid-00001-of-00002.tfrecord.gz is missing"


def of_another_set(folder):
    text = (folder / examples.INFO_NAME).read_text()
    info = examples.read_info(folder)
    (folder / examples.INFO_NAME).write_text(text.replace(info.id, "0" * 64))
    return "does not hold the pieces of its dataset_info.json .its id is 000000000000"


def test_a_whole_data_set_passes(whole):
    assert check(whole) == []


@pytest.mark.parametrize(
    "spoil",
    [emptied, cut_between_records, overwritten_by_its_neighbour, removed]
    + [overwritten_by_another_split, of_another_set],
)
def test_what_is_missing_or_doubled_is_named(folder, spoil):
    message = spoil(folder)
    with pytest.raises(InputError, match=message):
        check(folder)


def test_damage_that_may_be_skipped_is_told(folder):
    message = emptied(folder)
    (fault,) = check(folder, skip_corrupt=True)
    assert fault.endswith(message)


def test_data_replaced_during_a_run_are_noticed_and_a_copy_is_not(folder, whole):
    info = examples.read_info(folder)
    paths = examples.shard_paths(folder, "train")
    watch = integrity.DataWatch(info, folder, paths)
    watch.check_unchanged()
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    watch.check_unchanged()
    emptied(folder)
    with pytest.raises(InputError, match="holds 0 pieces, 2 were written"):
        watch.check_unchanged()
    shutil.rmtree(folder)
    small.write_data_set(folder, {"train": [small.random_piece(8, 6)]}, shards=2)
    with pytest.raises(InputError, match="was replaced during the run: its id was"):
        watch.check_unchanged()
