"""Records, their framing, and the folder of a data set."""

import dataclasses
import gzip
import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from poph_tf.data import example_message, examples, matrices, record_graph, shards
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError


def piece(steps=20, seed=0, density=0.1):
    random = np.random.default_rng(seed)
    cells = random.integers(0, 256, (steps, 128, 3)).astype(np.uint8)
    cells[..., 0] = random.random((steps, 128)) < density
    bar = (np.arange(steps) % 12).astype(np.uint8)
    signatures = ((0, 3, 4), (12, 3, 4))
    return matrices.canonical(Matrices(cells, bar, 93.217, 4, signatures))


def record(**options):
    return examples.serialize(piece(**options), style="Bach é", source="a/b.mid")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 70), st.integers(0, 99), st.sampled_from([0.0, 0.1, 1.0]))
def test_a_record_gives_the_piece_back(steps, seed, density):
    made = piece(steps, seed, density)
    back = examples.deserialize(record(steps=steps, seed=seed, density=density))
    assert back.matrices == made
    assert back.matrices.time_signatures == made.time_signatures
    assert (back.style, back.source) == ("Bach é", "a/b.mid")
    assert back.id == examples.content_id(made)


@pytest.mark.parametrize("steps", [0, 1, 33])
def test_the_graph_decodes_the_same_cells(steps):
    made = piece(steps)
    parsed = tf.function(record_graph.parse)(tf.constant(record(steps=steps)))
    np.testing.assert_array_equal(parsed["cells"], made.cells)
    np.testing.assert_array_equal(parsed["bar_position"], made.bar_position)
    assert parsed["cells"].dtype == parsed["bar_position"].dtype == tf.uint8
    assert parsed["length"].numpy() == steps
    assert parsed["length"].dtype == tf.int32
    assert parsed["tempo_qpm"].numpy() == np.float32(93.217)
    assert parsed["style"].numpy().decode() == "Bach é"
    assert parsed["source"].numpy() == b"a/b.mid"
    assert parsed["id"].numpy().decode() == examples.content_id(made)


def test_a_record_is_a_tf_train_example_in_its_canonical_bytes():
    data = record()
    example = tf.train.Example.FromString(data)
    assert example.SerializeToString(deterministic=True) == data
    assert example.features.feature["length"].int64_list.value[0] == 20
    rows = example.features.feature["time_signatures"].int64_list.value
    assert list(rows) == [0, 3, 4, 12, 3, 4]
    assert record() == data


def test_the_id_differs_wherever_the_music_does():
    made = piece()
    ids = {examples.content_id(made)}
    changed = made.cells.copy()
    place = tuple(np.argwhere(changed[..., 0] == 1)[0])
    changed[(*place, 2)] = changed[(*place, 2)] % 127 + 1
    bar = made.bar_position.copy()
    bar[-1] = 0
    for change in (
        {"cells": changed},
        {"bar_position": bar},
        {"tempo_qpm": 94.0},
        {"steps_per_quarter": 8},
    ):
        ids.add(examples.content_id(dataclasses.replace(made, **change)))
    assert len(ids) == 5
    same = dataclasses.replace(made, title="another", time_signatures=())
    assert examples.content_id(same) in ids


def test_messages_of_tensorflow_and_other_wire_forms_are_decoded():
    features = {
        "length": tf.train.Feature(int64_list=tf.train.Int64List(value=[-5, 2**40])),
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5])),
        "b": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"\0\xff"])),
        "none": tf.train.Feature(),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    decoded = example_message.Example.FromString(example.SerializeToString())
    found = decoded.features.feature
    assert list(found["length"].int64_list.value) == [-5, 2**40]
    assert list(found["x"].float_list.value) == [1.5]
    assert list(found["b"].bytes_list.value) == [b"\0\xff"]
    assert found["none"].WhichOneof("kind") is None
    assert decoded.SerializeToString(deterministic=True) == example.SerializeToString(
        deterministic=True
    )
    # Unpacked numbers, as other writers may store them.
    length = b"\x12\x06\x1a\x04\x08\x07\x08\x09"
    entry = b"\x0a\x01n" + length
    data = b"\x0a" + bytes([len(entry) + 2]) + b"\x0a" + bytes([len(entry)]) + entry
    unpacked = example_message.Example.FromString(data).features.feature["n"]
    assert list(unpacked.int64_list.value) == [7, 9]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_records_raise_one_kind_of_error(data):
    good = record(steps=3)
    cut = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good[:cut] if data.draw(st.booleans()) else good)
    if bad:
        bad[cut % len(bad)] ^= data.draw(st.integers(1, 255))
    try:
        examples.deserialize(bytes(bad))
    except InputError as error:
        assert "record" in str(error)


def test_checksums_equal_those_of_tensorflow(tmp_path):
    random = np.random.default_rng(0)
    records = [
        random.integers(0, 256, size).astype(np.uint8).tobytes()
        for size in (0, 1, 3, 4, 5, 1023, 1024, 1025, 1027, 2048, 5000)
    ]
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for data in records:
            writer.write(data)
    with open(path, "rb") as file:
        assert file.read() == b"".join(map(shards.framed, records))
    assert [data for _, data in shards.read(path)] == records


def test_tensorflow_reads_records_that_are_separate_gzip_members(tmp_path):
    path = str(tmp_path / "a.tfrecord.gz")
    records = [bytes([k]) * (k * 997) for k in range(40)]
    with open(path, "wb") as file:
        for data in records:
            file.write(gzip.compress(shards.framed(data)))
    dataset = tf.data.TFRecordDataset(path, compression_type="GZIP")
    assert [r.numpy() for r in dataset] == records
    assert [data for _, data in shards.read(path)] == records


@pytest.mark.parametrize("place", [0, 9, 14, 100, -2])
@pytest.mark.parametrize("compress", [False, True])
def test_damage_names_the_file_and_the_offset(tmp_path, place, compress):
    good = shards.framed(b"first") + shards.framed(bytes(200))
    bad = bytearray(good)
    bad[place] ^= 4
    path = tmp_path / "bad.tfrecord"
    path.write_bytes(gzip.compress(bytes(bad)) if compress else bytes(bad))
    offset = 0 if 0 <= place < 21 else 21
    with pytest.raises(InputError, match=rf"bad\.tfrecord: .*byte {offset}\b"):
        list(shards.read(path))


def test_a_cut_off_file_names_the_file(tmp_path):
    path = tmp_path / "cut.tfrecord.gz"
    whole = gzip.compress(shards.framed(bytes(range(256)) * 40))
    for size in (1, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="cut.tfrecord.gz"):
            list(shards.read(path))


def info(**changes):
    split = examples.SplitInfo(("train-00000-of-00001.tfrecord.gz",), 1, 20, {}, {})
    made = examples.DatasetInfo(
        examples.FORMAT_VERSION, "x", 4, ("a",), {"train": split}
    )
    return dataclasses.replace(made, **changes)


def test_the_info_of_a_data_set_reads_back(tmp_path):
    examples.write_info(info(), tmp_path)
    assert examples.read_info(tmp_path) == info()
    assert [p.name for p in tmp_path.iterdir()] == ["dataset_info.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "holds no data set"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "is damaged"),
        ('{"format_version": 1}', "is damaged"),
        ('{"format_version": 99}', "format version 99, this program reads 1"),
        ('{"format_version": 1, "surprise": 2, "splits": {}, "styles": []}', "damaged"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, text, words):
    if text is not None:
        (tmp_path / "dataset_info.json").write_text(text)
    with pytest.raises(InputError, match=words):
        examples.read_info(tmp_path)


def test_missing_folders_splits_and_shards_are_refused(tmp_path):
    with pytest.raises(InputError, match="No folder"):
        examples.read_info(tmp_path / "gone")
    examples.write_info(info(), tmp_path)
    with pytest.raises(InputError, match="no split 'prod'; it has train"):
        examples.shard_paths(tmp_path, "prod")
    with pytest.raises(InputError, match="tfrecord.gz is missing"):
        examples.shard_paths(tmp_path, "train")
    (tmp_path / "train-00000-of-00001.tfrecord.gz").touch()
    assert len(examples.shard_paths(tmp_path, "train")) == 1
    assert json.loads((tmp_path / "dataset_info.json").read_text())["styles"] == ["a"]


def test_an_info_with_former_names_is_read(tmp_path):
    old = dataclasses.asdict(info(num_near_duplicates=3))
    old["num_twins"] = old.pop("num_near_duplicates")
    (tmp_path / "dataset_info.json").write_text(json.dumps(old))
    assert examples.read_info(tmp_path) == info(num_near_duplicates=3)
