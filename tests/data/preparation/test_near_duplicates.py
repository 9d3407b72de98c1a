"""Tests of which pieces count as one composition, and of the resulting splits."""

import csv

import numpy as np
import pytest
from collections_of_songs import prepared, settings, shares, song, write

from poph_tf.config import DataConfig
from poph_tf.data import examples, shards
from poph_tf.data.preparation import (
    fingerprints,
    given_splits,
    near_duplicates,
    report,
)
from poph_tf.errors import InputError


def music(seed, count=400):
    """(seconds, pitches) of random chords of two or three notes."""
    random = np.random.default_rng(seed)
    seconds = np.sort(random.integers(0, count, count)) * 0.25
    return seconds, random.integers(40, 80, count)


def groups(*pieces):
    sketches, totals = zip(*(fingerprints.sketch(*p) for p in pieces), strict=True)
    exact = [bytes([k]) for k in range(len(pieces))]
    return near_duplicates.groups(exact, sketches, np.array(totals)).tolist()


def played(seed, piece):
    """Imitates a performer: uneven, with wrong and missing notes."""
    random = np.random.default_rng(seed)
    seconds, pitch = piece
    kept = random.random(len(pitch)) > 0.05
    wrong = (random.random(len(pitch)) < 0.03) * random.integers(-2, 3, len(pitch))
    uneven = seconds * 1.3 + random.normal(0, 0.01, len(pitch))
    return uneven[kept], (pitch + wrong)[kept]


def revoiced(seed, piece):
    random = np.random.default_rng(seed)
    octaves = random.integers(-1, 2, len(piece[1])) * (
        random.random(len(piece[1])) < 0.4
    )
    return piece[0], piece[1] + 12 * octaves


@pytest.mark.parametrize(
    "version",
    [
        lambda seconds, pitch: (seconds * 0.6 + 7, pitch - 5),
        lambda seconds, pitch: (seconds[120:220], pitch[120:220] + 1),
        lambda *piece: played(1, piece),
        lambda *piece: revoiced(2, piece),
        lambda *piece: played(3, tuple(x[100:250] for x in piece)),
    ],
    ids=["transposed", "part", "played", "revoiced", "part played"],
)
def test_versions_of_a_composition_are_one_group(version):
    assert groups(music(0), version(*music(0)), music(1)) == [0, 0, 2]


def test_many_pieces_are_sought_by_a_part_of_their_passages(monkeypatch):
    pieces = [music(seed) for seed in range(20)]
    versions = [played(seed, pieces[seed]) for seed in range(20)]
    every = groups(*pieces, *versions)
    assert every == 2 * list(range(20))
    monkeypatch.setattr(near_duplicates, "_MANY", 0)
    assert groups(*pieces, *versions) == every


def test_a_chord_ends_45_milliseconds_after_its_first_note():
    seconds = np.array([0.09, 0.0, 0.03, 0.06, 2.0])
    chord, pitch = fingerprints._chords(seconds, np.array([62, 64, 60, 65, 60]))
    np.testing.assert_array_equal(chord, [0, 0, 1, 1, 2])
    np.testing.assert_array_equal(pitch, [60, 64, 62, 65, 60])


def test_a_chain_of_versions_is_one_group():
    seconds, pitch = music(0)
    whole, left, right = (seconds, pitch), slice(150), slice(250, None)
    parts = [(seconds[s], pitch[s]) for s in (left, right)]
    assert groups(*parts) == [0, 1]
    assert groups(*parts, whole) == [0, 0, 0]


def test_scales_that_all_have_make_no_group():
    scale = np.tile([60, 62, 64, 65, 67, 69, 71, 72], 40)
    pieces = []
    for seed in range(70):
        seconds, pitch = music(seed, 40)
        pieces.append(
            (np.append(seconds, 40 + np.arange(320.0)), np.append(pitch, scale))
        )
    assert groups(*pieces) == list(range(70))
    # When few pieces share them, they may be a theme.
    assert groups(*pieces[:2]) == [0, 0]


def test_passages_are_counted_by_hand():
    # Nine single notes: each of three lines has two passages of seven intervals, and
    # there would be five passages of five chords, of which three remain (see below).
    pitch = np.array([60, 64, 67, 72, 60, 64, 67, 72, 60])
    found, total = fingerprints.sketch(np.arange(9.0), pitch)
    # 60 and 72 share a pitch class: 0 4 7 0 4 7 0 has three passages of chords.
    assert total == len(found) == 2 + 2 + 2 + 3
    up, _ = fingerprints.sketch(np.arange(9.0) * 2, pitch + 11)
    np.testing.assert_array_equal(found, up)
    assert fingerprints.sketch(np.zeros(0), np.zeros(0, int))[1] == 0
    assert fingerprints.sketch(np.zeros(9), pitch)[1] == 2  # one chord


def test_sampling_keeps_the_same_passages_everywhere():
    seconds, pitch = music(0, 5000)
    found, total = fingerprints.sketch(seconds, pitch)
    assert len(found) == np.searchsorted(found, fingerprints.SAMPLED)
    assert len(found) / total == pytest.approx(1 / 8, rel=0.1)
    part, whole = fingerprints.sketch(seconds[:100], pitch[:100])
    assert len(part) == whole
    shared = np.intersect1d(found, part)
    assert len(shared) >= 0.9 * np.searchsorted(part, fingerprints.SAMPLED)


def test_the_share_of_a_sketch_is_worked_by_hand():
    share = fingerprints.share(np.array([100, 512, 1000]), np.array([100, 1024, 8000]))
    np.testing.assert_allclose(share, [1, 0.5, 0.125])


def collection(root):
    for k in range(12):
        path = root / ("train", "validation", "test")[k % 3] / f"{k}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(song(k))
    return root


def split_of(folder):
    found = {}
    for name in examples.SPLITS:
        for path in examples.shard_paths(folder, name):
            for _, data in shards.read(path):
                found[examples.deserialize(data).source] = name
    return found


def test_near_duplicates_are_kept_grouped_or_dropped(tmp_path):
    root = tmp_path / "songs"
    root.mkdir()
    for k in range(10):
        (root / f"{k}.mid").write_bytes(song(k, notes=60))
        (root / f"{k} part.mid").write_bytes(song(k, notes=40, shift=3))
    made = {
        way: prepared(
            root, tmp_path / way, near_duplicates=way, **shares(0.4, 0.3, 0.3)
        )
        for way in ("keep", "group", "drop")
    }
    assert [i.num_near_duplicates for i in made.values()] == [10, 10, 10]
    assert made["keep"].num_leaked > 0
    assert "are the same composition as a training piece" in " ".join(
        report.warnings(made["keep"])
    )
    assert made["group"].num_leaked == made["drop"].num_leaked == 0
    where = split_of(tmp_path / "group")
    assert len(where) == 20
    assert all(where[f"{k}.mid"] == where[f"{k} part.mid"] for k in range(10))
    assert set(split_of(tmp_path / "drop")) == {f"{k} part.mid" for k in range(10)}
    assert "left out as well: 10 near-duplicates" in report.table(made["drop"])
    with open(tmp_path / "group" / "near_duplicates.csv", newline="") as file:
        assert sorted(csv.reader(file))[0] == ["0 part.mid", "0.mid"]
    page = (tmp_path / "group" / "report.html").read_text("utf-8")
    assert "2 pieces: 0 part.mid; 0.mid" in page


def test_folders_that_are_called_so_are_splits(tmp_path):
    root = collection(tmp_path / "songs")
    (root / "more").mkdir()
    (root / "more" / "x.mid").write_bytes(song(99))
    info = prepared(root, tmp_path / "out", split_by="folder")
    assert split_of(tmp_path / "out") == {
        f"{folder}/{k}.mid": split
        for r, (folder, split) in enumerate(
            [("train", "train"), ("validation", "valid"), ("test", "test")]
        )
        for k in range(r, 12, 3)
    }
    assert info.rejects == {"no split is known (folder)": 1}


def test_a_table_in_the_form_of_maestro_gives_the_splits(tmp_path):
    root = write(tmp_path / "maestro", 6, styles=("2004", "2006"))
    rows = ["canonical_composer,canonical_title,split,year,midi_filename,duration"]
    for k in range(6):
        split = ("train", "validation", "test")[k // 2]
        rows.append(
            f'"Bach, J.",Fugue,{split},2004,{2004 + k % 2 * 2}/song {k:03d}.mid,9'
        )
    table = tmp_path / "maestro.csv"
    table.write_text("\n".join(rows))
    prepared(root, tmp_path / "out", split_by="table", splits_csv=str(table))
    found = split_of(tmp_path / "out")
    assert found["2006/song 001.mid"] == "train"
    assert found["2004/song 002.mid"] == "valid"
    assert found["2006/song 005.mid"] == "test"
    with pytest.raises(InputError, match="must be given together"):
        settings(root, split_by="table")


def test_a_table_of_two_columns_names_files_by_path_or_stem(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("b/one.mid,train\ntwo,dev\nbook.abc,test\n")
    options = {"input": ("x",), "split_by": "table", "splits_csv": str(table)}
    find = given_splits.finder(DataConfig(**options))
    assert [find(n) for n in ("a/b/one.mid", "c/two.mid", "book.abc#7", "d.mid")] == [
        *("train", "valid", "test"),
        None,
    ]
    table.write_text("one.mid,train\ntwo.mid,often\n")
    with pytest.raises(InputError, match="row 2: must name a file and its split"):
        given_splits.finder(DataConfig(**options))


@pytest.mark.parametrize(
    ("source", "split"),
    [
        ("train/a.mid", "train"),
        ("set/Validation/b/a.mid", "valid"),
        ("data/train-00000-of-00002.parquet/000001.mid", "train"),
        ("maestro_test.tfrecord/000001.notesequence", "test"),
        ("training songs/test/a.mid", "test"),
        ("train or test/a.mid", None),
        ("latest/test.mid", None),
    ],
)
def test_a_folder_names_a_split_as_a_word(source, split):
    assert given_splits._of_folder(source) == split
