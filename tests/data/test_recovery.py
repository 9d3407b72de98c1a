"""Recovery: which records a damaged file loses, and that this is reported."""

import gzip

import pytest
import small

from poph_tf.data import examples, recovery
from poph_tf.data import shards as shards_lib


@pytest.fixture(scope="module")
def members():
    """Pieces as gzip members, as prepared shards hold them."""
    pieces = [small.random_piece(seed, 8 + seed) for seed in range(5)]
    records = [examples.serialize(p, style="bach", source="a.mid") for p in pieces]
    return [gzip.compress(shards_lib.framed(r), mtime=0) for r in records]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("place", [0, 1, 9, 12, 40, -12, -5, -1])
def test_a_wrong_bit_anywhere_costs_one_record(members, place, number, tmp_path):
    path = tmp_path / "a.tfrecord.gz"
    second = bytearray(members[number])
    second[place] ^= 1
    path.write_bytes(b"".join([*members[:number], second, *members[number + 1 :]]))
    damaged = []
    left = list(recovery.records(path, damaged))
    valid = [shards_lib.framed(r) for r in left]
    whole = [gzip.decompress(member) for member in members]
    # Byte 9 of gzip's header does not affect the data.
    kept = place == 9
    assert valid == (whole if kept else whole[:number] + whole[number + 1 :])
    assert len(damaged) == (not kept)


def test_a_cut_off_file_is_read_up_to_the_cut(members, tmp_path):
    path = tmp_path / "a.tfrecord.gz"
    path.write_bytes(members[0] + members[1][:40])
    damaged = []
    assert len(list(recovery.records(path, damaged))) == 1
    assert damaged == [f"{path}: damaged record at byte {len(members[0])} of the file"]
    path.write_bytes(b"")
    assert recovery.find([path]) == []


def test_a_file_compressed_as_one_loses_only_its_damaged_record(members, tmp_path):
    path = tmp_path / "a.tfrecord"
    content = bytearray(b"".join(map(gzip.decompress, members)))
    content[len(gzip.decompress(members[0])) + 30] ^= 1
    for packed in (bytes(content), gzip.compress(content)):
        path.write_bytes(packed)
        assert len(list(recovery.records(path, None))) == len(members) - 1
        assert len(recovery.find([path])) == 1
    content[-len(gzip.decompress(members[-1]))] ^= 1  # a length: all after it is lost
    path.write_bytes(content)
    assert len(list(recovery.records(path, None))) == len(members) - 2
