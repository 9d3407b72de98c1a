"""Preparing a data set does not touch other files."""

import os

import pytest
from collections_of_songs import song

from poph_tf.config import DataConfig
from poph_tf.data import midi
from poph_tf.data.preparation import pipeline
from poph_tf.errors import InputError


def settings(*paths, **options):
    return DataConfig(input=tuple(map(str, paths)), **options)


def test_a_data_set_replaces_its_own_files_and_no_others(tmp_path):
    (tmp_path / "in").mkdir()
    out = tmp_path / "out"
    for k in range(9):
        (tmp_path / "in" / f"{k}.mid").write_bytes(song(k))
    pipeline.prepare(settings(tmp_path / "in"), out)
    for name in ("mine-00000-of-00001.tfrecord.gz", "train-0-of-1.tfrecord.gz"):
        (out / name).write_bytes(b"mine")
    pipeline.prepare(settings(tmp_path / "in", num_shards=2), out, overwrite=True)
    assert (out / "mine-00000-of-00001.tfrecord.gz").read_bytes() == b"mine"
    assert (out / "train-0-of-1.tfrecord.gz").read_bytes() == b"mine"
    shards = sorted(path.name for path in out.glob("train-00*"))
    assert shards == [f"train-0000{k}-of-00002.tfrecord.gz" for k in range(2)]


def test_inputs_are_never_overwritten(tmp_path):
    (tmp_path / "0.mid").write_bytes(song(0))
    with pytest.raises(InputError, match="is the input: choose another folder"):
        pipeline.prepare(settings(tmp_path), tmp_path)
    path = tmp_path / "train-00000-of-00001.tfrecord.gz"
    path.write_bytes(b"notes")
    with pytest.raises(InputError, match="would be replaced by a file of the data set"):
        pipeline.prepare(settings(path), tmp_path)
    assert path.read_bytes() == b"notes"


def test_names_that_are_not_utf8_get_replacement_characters(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    for k in range(3):
        with open(os.path.join(folder, f"{k}.mid"), "wb") as file:
            file.write(song(k))
    info = pipeline.prepare(settings(folder), tmp_path / "out")
    assert info.settings["input"] == ["caf\ufffd"]
    path = os.path.join(folder, os.fsdecode(b"caf\xe9.mid"))
    os.rename(os.path.join(folder, "0.mid"), path)
    assert midi.read(path).filename == "caf\ufffd.mid"
