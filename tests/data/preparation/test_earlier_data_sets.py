"""Data sets and settings of earlier versions: the same bytes, keys and ids."""

import gzip
import hashlib

import pytest
from collections_of_songs import prepared, settings, shards, shares, song, write

from poph_tf.data.preparation import pipeline
from poph_tf.errors import InputError

# SHA-256 (first eight digits) of the uncompressed shards and of the tables, for one
# collection; unchanged since notes end first in, first out.
GOLDEN = {
    "default": {
        "test-00000-of-00001.tfrecord.gz": "9169b05f",
        "train-00000-of-00004.tfrecord.gz": "adf64af9",
        "train-00001-of-00004.tfrecord.gz": "3aa7ed8e",
        "train-00002-of-00004.tfrecord.gz": "02ad948d",
        "train-00003-of-00004.tfrecord.gz": "afbc9831",
        "valid-00000-of-00001.tfrecord.gz": "b5d6a614",
        "rejects.csv": "90caf11e",
        "repairs.csv": "6609dc9a",
        "duplicates.csv": "02c72da6",
        "near_duplicates.csv": "9f94cc83",
        "id": "e1488958",
    },
    "aligned": {
        "test-00000-of-00001.tfrecord.gz": "1ca803c5",
        "train-00000-of-00003.tfrecord.gz": "28edd892",
        "train-00001-of-00003.tfrecord.gz": "82617814",
        "train-00002-of-00003.tfrecord.gz": "7529edd7",
        "valid-00000-of-00001.tfrecord.gz": "a8a09761",
        "rejects.csv": "90caf11e",
        "repairs.csv": "6609dc9a",
        "duplicates.csv": "02c72da6",
        "near_duplicates.csv": "9f94cc83",
        "id": "4c67414b",
    },
}
OPTIONS = {
    "default": {},
    "aligned": {
        "align": "auto",
        "sustain": True,
        "steps_per_quarter": 8,
        "num_shards": 3,
        **shares(0.5, 0.25, 0.25),
    },
}


@pytest.mark.parametrize("name", GOLDEN)
def test_shards_and_tables_are_those_of_earlier_versions(tmp_path, name):
    root, out = write(tmp_path / "songs", 24), tmp_path / "out"
    (root / "jazz" / "copy.mid").write_bytes(song(2))
    (root / "bach" / "up.mid").write_bytes(song(3, shift=5))
    (root / "bach" / "late.mid").write_bytes(song(40, offset=50))
    (root / "bach" / "bad.mid").write_text("hello")
    tunes = "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n\nX:7\nM:3/4\nL:1/4\nK:G\nGAB|\n"
    (root / "jazz" / "two.abc").write_text(tunes)
    info = prepared(root, out, **OPTIONS[name])
    contents = {k: gzip.decompress(data) for k, data in shards(out).items()}
    contents |= {path.name: path.read_bytes() for path in out.glob("*.csv")}
    hashes = {k: hashlib.sha256(v).hexdigest()[:8] for k, v in contents.items()}
    assert hashes | {"id": info.id[:8]} == GOLDEN[name]


def test_settings_of_earlier_versions_have_the_same_key(tmp_path):
    table = tmp_path / "styles.csv"
    table.write_text("a.mid,x\n")
    # Computed by the code from before settings were renamed.
    assert pipeline.settings_key(settings("songs")).startswith("9234c5522c0498958872")
    options = {"programs": (40, 5), "reader": "note_seq", **shares(0.5, 0.25, 0.25)}
    key = pipeline.settings_key(settings("a", "b", styles_csv=str(table), **options))
    assert key.startswith("4f919dbc9f89e915b21e")


def test_the_content_of_the_table_of_styles_counts_not_its_path(tmp_path):
    root = write(tmp_path / "songs", 4)
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    for path in (first, second):
        path.write_text("".join(f"song 00{k},x\n" for k in range(4)))
    info = prepared(root, tmp_path / "out", styles_csv=str(first))
    assert info.styles == ("x",)
    assert prepared(root, tmp_path / "out", styles_csv=str(second)) == info
    second.write_text(first.read_text().replace("x", "y"))
    with pytest.raises(InputError, match="holds another data set"):
        prepared(root, tmp_path / "out", styles_csv=str(second))
