"""Tests of finding pieces in folders, archives and files of NoteSequences."""

import io
import sys
import tarfile
import zipfile

import pytest
from collections_of_songs import reasons, settings, song, walked
from note_seq.protobuf import music_pb2

from poph_tf.data import shards
from poph_tf.data.preparation import sources
from poph_tf.errors import InputError

NAMES = (
    "lib/bach/ode.MID",
    "lib/bach/.hidden.mid",
    "lib/bach/._ode.mid",
    "lib/notes.txt",
    "lib/чай/Ünïcode – 茶.kar",
    "top.midi",
)
MUSIC = {NAMES[0], NAMES[1], NAMES[4], NAMES[5]}


def folder(tmp_path):
    root = tmp_path / "songs"
    for name in NAMES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"data of " + name.encode())
    return root


def tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def packed(path, members):
    """Writes an archive of the kind given by its suffix."""
    if path.suffix != ".zip":
        kind = path.suffix[1:].replace("tgz", "gz").replace("tar", "")
        return tar(path, members, f"w:{kind}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_folders_are_walked_in_order_in_any_case_and_script(tmp_path):
    items = walked(folder(tmp_path))
    assert {i.source for i in items} == MUSIC
    assert [i.source for i in items] == [i.source for i in walked(tmp_path / "songs")]
    assert {i.source: i.style for i in items}[NAMES[0]] == "lib"
    # A file in the input itself has the input's name as its style.
    assert {i.source: i.style for i in items}["top.midi"] == "songs"


def test_style_depth_chooses_a_deeper_folder(tmp_path):
    items = walked(folder(tmp_path), style_depth=2)
    styles = {i.source: i.style for i in items}
    assert styles[NAMES[0]] == "bach"
    assert styles[NAMES[4]] == "чай"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tgz"])
def test_archives_give_what_their_folder_gives(tmp_path, kind):
    root = folder(tmp_path)
    path = tmp_path / f"songs.{kind}"
    members = {name: (root / name).read_bytes() for name in NAMES}
    packed(path, members)
    items = {i.source: i for i in walked(path)}
    assert set(items) == MUSIC
    for name, item in items.items():
        assert item.data == members[name]
        assert item.reason is None
    assert {i.style for i in items.values()} == {"lib", "songs"}


def test_archives_in_archives_and_folders_are_read(tmp_path):
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("b.mid", b"abc")
        archive.writestr("../c.mid", b"abc")
    with tarfile.open(fileobj=outer, mode="w:gz") as archive:
        for name, data in (("a.mid", b"xyz"), ("jazz/in.zip", inner.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "all.tgz").write_bytes(outer.getvalue())
    (tmp_path / "songs" / "bad.zip").write_bytes(b"hello")
    items = {item.source: item for item in walked(tmp_path / "songs", style_depth=2)}
    assert {name: item.reason for name, item in items.items()} == {
        "all.tgz/a.mid": None,
        "all.tgz/jazz/in.zip/b.mid": None,
        "all.tgz/jazz/in.zip/../c.mid": "its path leads out of the archive",
        "bad.zip/(rest)": "the archive is damaged from here on",
    }
    assert items["all.tgz/jazz/in.zip/b.mid"].data == b"abc"
    assert items["all.tgz/a.mid"].style == "all"
    assert items["all.tgz/jazz/in.zip/b.mid"].style == "jazz"


def test_a_7z_archive_gives_what_its_folder_gives(tmp_path, monkeypatch):
    py7zr = pytest.importorskip("py7zr")
    path = tmp_path / "songs.7z"
    members = {name: b"data of " + name.encode() for name in NAMES}
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in {**members, "large.mid": bytes(300)}.items():
            archive.writestr(data, name)
    items = {item.source: item for item in walked(path, max_bytes=200)}
    assert items.pop("large.mid").reason == "larger than 200 bytes"
    assert set(items) == MUSIC
    assert all(item.data == members[name] for name, item in items.items())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="is not a 7z archive"):
        sources.check(settings(path))
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(InputError, match=r"pip install 'poph_tf\[archives\]'"):
        sources.check(settings(path))


def test_a_parquet_table_gives_the_files_of_its_rows(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    one = {"bytes": song(1), "path": "a/b.MID"}
    columns = {
        "midi": [one, None, {"bytes": b"X:1\nK:C\nC\n", "path": "tune.abc"}],
        "raw": [None, song(2), bytes(500_000)],
        "genre": ["folk", "jazz", "folk"],
    }
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "train-00000-of-00001.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    items = {item.source: item for item in walked(path)}
    assert set(items) == {"000001.mid", "000002.mid", "000003.abc"}
    assert items["000002.mid"].data == song(2)
    (tmp_path / "set" / "bad.parquet").write_bytes(b"hello")
    found = reasons(tmp_path / "set", split_by="folder")
    assert found.pop("bad.parquet") == "not a .parquet file that can be read"
    assert set(found) == {f"{path.name}/{name}" for name in items}
    assert set(found.values()) == {None}
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (item,) = walked(path)
    assert item.reason.startswith("a .parquet file needs pyarrow: pip install")


def test_a_file_of_one_note_sequence_is_read(tmp_path):
    sequence = music_pb2.NoteSequence()
    (tmp_path / "a.pb").write_bytes(sequence.SerializeToString())
    (tmp_path / "b.notesequence").write_bytes(sequence.SerializeToString())
    assert [item.source for item in walked(tmp_path)] == ["a.pb", "b.notesequence"]


def test_several_inputs_keep_their_names_apart(tmp_path):
    root = folder(tmp_path)
    other = tar(tmp_path / "b.tar.gz", {"top.midi": b"x"})
    found = {i.source for i in walked(root, other)}
    assert {"songs/top.midi", "b.tar.gz/top.midi"} <= found


def test_a_single_file_is_an_input(tmp_path):
    root = folder(tmp_path)
    (item,) = walked(root / "top.midi")
    assert (item.source, item.style) == ("top.midi", "songs")


def test_members_that_could_do_harm_are_rejected_with_a_reason(tmp_path):
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("../up.mid", "/root.mid", "a/../../b.mid", "good.mid"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
        for kind in (
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.CHRTYPE,
            tarfile.FIFOTYPE,
        ):
            info = tarfile.TarInfo(f"kind{kind.decode()}.mid")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("zeros.mid")
        info.size = 300
        archive.addfile(info, io.BytesIO(bytes(300)))
    found = reasons(path, max_bytes=200)
    assert found.pop("good.mid") is None
    assert found.pop("zeros.mid") == "larger than 200 bytes"
    for name in ("../up.mid", "root.mid", "a/../../b.mid"):
        assert found.pop(name) == "its path leads out of the archive"
    assert len(found) == 4
    assert set(found.values()) == {"a link or device in an archive"}


def test_a_tar_that_declares_more_than_it_holds_ends_with_a_reason(tmp_path):
    path = tmp_path / "bomb.tar"
    info = tarfile.TarInfo("bomb.mid")
    info.size = 2**40
    path.write_bytes(info.tobuf() + b"abc")
    found = reasons(path)
    assert found["bomb.mid"] == "larger than 5,000,000 bytes"
    cut = tar(tmp_path / "cut.tar.gz", {f"{k}.mid": song(k) for k in range(40)})
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    found = reasons(cut)
    assert found.pop("(rest)") == "the archive is damaged from here on"
    assert 5 < len(found) < 40
    assert set(found.values()) == {None}


def test_zip_bombs_and_damaged_members_are_rejected_with_a_reason(tmp_path):
    path = tmp_path / "bombs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.mid", bytes(10_000_000))
        archive.writestr("../up.mid", b"abc")
        link = zipfile.ZipInfo("link.mid")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("liar.mid", bytes(9_000_000))
        archive.writestr("good.mid", b"abc")
        archive.writestr("broken.mid", bytes(range(256)) * 40)
    data = bytearray(path.read_bytes())
    # The directory claims that liar.mid has 5 bytes; broken.mid is corrupt.
    entry = data.rindex(b"liar.mid") - 46
    data[entry + 24 : entry + 28] = (5).to_bytes(4, "little")
    data[data.index(b"broken.mid") + 60] ^= 0xFF
    path.write_bytes(data)
    found = reasons(path)
    assert found["zeros.mid"] == "larger than 5,000,000 bytes"
    assert found["../up.mid"] == "its path leads out of the archive"
    assert found["link.mid"] == "a link or device in an archive"
    assert found["liar.mid"] == "damaged in the archive"
    assert found["broken.mid"] == "damaged in the archive"
    assert found["good.mid"] is None


def test_note_sequence_files_give_their_records_up_to_the_damage(tmp_path):
    sequence = music_pb2.NoteSequence()
    sequence.notes.add(pitch=60, velocity=1, end_time=1)
    path = tmp_path / "folk.tfrecord"
    one = shards.framed(sequence.SerializeToString())
    path.write_bytes(one * 3)
    items = walked(path)
    assert [i.source for i in items] == [f"{k:06d}.notesequence" for k in (1, 2, 3)]
    assert {i.style for i in items} == {"folk"}
    path.write_bytes(one + one[:-1])
    assert list(reasons(path).values()) == [
        None,
        "a damaged record; the rest is not read",
    ]
    (tmp_path / "in" / "jazz").mkdir(parents=True)
    path.rename(tmp_path / "in" / "jazz" / "x.tfrecord")
    assert {i.style for i in walked(tmp_path / "in")} == {"jazz"}


def test_a_table_of_styles_goes_by_path_name_or_stem(tmp_path):
    root = folder(tmp_path)
    table = tmp_path / "styles.csv"
    table.write_text("path,style\nlib/bach/ode.MID,old\ntop,new\n", "utf-8")
    items = {i.source: i for i in walked(root, styles_csv=str(table))}
    assert items[NAMES[0]].style == "old"
    assert items["top.midi"].style == "new"
    assert items[NAMES[4]].reason == "its path is not in the table of styles"
    for text, words in (("a\n", "row 1: must be path,style"), ("", "names no styles")):
        table.write_text(text)
        with pytest.raises(InputError, match=words):
            sources.read_styles(str(table))
    with pytest.raises(InputError, match="Cannot read the styles"):
        sources.read_styles(str(tmp_path / "gone.csv"))


def test_inputs_that_cannot_be_are_named(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.zip").write_text("hello")
    (tmp_path / "a.tar.gz").write_text("hello")
    for name, words in (
        ("gone", "No file or folder"),
        ("a.txt", "must be a folder"),
        ("a.zip", "is not a zip archive"),
        ("a.tar.gz", "is not a tar archive"),
    ):
        with pytest.raises(InputError, match=words):
            sources.check(settings(tmp_path / name))


def test_the_position_goes_up_to_one(tmp_path):
    root = folder(tmp_path)
    position = sources.Position()
    seen = [position.share for _ in sources.walk(settings(root, root), position)]
    assert seen == sorted(seen)
    assert 0.5 < seen[-1] <= 1


def test_links_to_other_folders_are_followed_and_links_back_are_not(tmp_path):
    root, other = tmp_path / "in", tmp_path / "elsewhere"
    for path in (root / "a" / "one.mid", other / "two.mid"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    for name, target in (
        ("back", root),
        ("up", tmp_path),
        ("same", root / "a"),
        ("there", other),
        ("twice", other),
        ("gone", tmp_path / "gone"),
    ):
        (root / name).symlink_to(target)
    (other / "round").symlink_to(other)
    (root / "gone.tfrecord").symlink_to(tmp_path / "gone")
    found = reasons(root)
    assert found.pop("gone.tfrecord") == "cannot be opened (No such file or directory)"
    assert found == {"a/one.mid": None, "there/two.mid": None}


def test_a_dataset_info_of_another_program_hides_no_music(tmp_path):
    root = folder(tmp_path)
    for text in ('{"features": {}}', "[]", "no json"):
        (root / "dataset_info.json").write_text(text)
        assert set(reasons(root)) == MUSIC
    (root / "dataset_info.json").write_text('{"format_version": 1, "splits": {}}')
    assert not reasons(root)


def test_shards_are_read_however_they_are_named(tmp_path):
    one = shards.framed(music_pb2.NoteSequence().SerializeToString())
    for name in ("a.tfrecord-00000-of-00001", "b.tfrecords", "c-0-of-1.tfrecord.GZ"):
        (tmp_path / name).write_bytes(one)
        (item,) = walked(tmp_path / name)
        assert item.style == name.split(".")[0]
    assert len(walked(tmp_path)) == 3


def test_a_name_with_a_colon_leads_nowhere(tmp_path):
    path = tar(tmp_path / "a.tar", {"Etude: 1.mid": b"", "c:/x.mid": b""}, "w")
    assert reasons(path) == {
        "Etude: 1.mid": None,
        "c:/x.mid": "its path leads out of the archive",
    }


def test_a_zip_without_sense_is_named_and_a_member_costs_itself_only(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("bad.mid", bytes(range(256)) * 40)
        archive.writestr("good.mid", b"abc")
    whole = path.read_bytes()
    data = bytearray(whole)
    data[data.index(b"bad.mid") + 60] ^= 0xFF
    path.write_bytes(data)
    assert reasons(path) == {"bad.mid": "damaged in the archive", "good.mid": None}
    entry = whole.index(b"PK\x01\x02")
    for at, value in ((entry, b"XX"), (entry + 6, b"\x63\x00")):
        # No list of members; a list that needs a newer zip version.
        path.write_bytes(whole[:at] + value + whole[at + 2 :])
        with pytest.raises(InputError, match="is not a zip archive"):
            sources.check(settings(path))


LAYOUTS = [
    ("lmd_full.tar.gz", ["lmd_full/0/00a.mid", "lmd_full/f/f00.mid"], 2, ["0", "f"]),
    ("lmd_matched.tgz", ["lmd_matched/A/B/C/TRABC/1.mid"], 5, ["TRABC"]),
    ("maestro-v3.0.0-midi.zip", ["maestro-v3.0.0/2004/x.midi"], 2, ["2004"]),
    ("midis.zip", ["Abel, Frederic, Lola Polka, SLN.mid"], 1, ["midis"]),
    ("POP909.tar", ["POP909/001/1.mid", "POP909/001/versions/a.mid"], 1, ["POP909"]),
    ("asap.tar", ["asap/Bach/Fugue/bwv_846/x.mid"], 2, ["Bach"]),
]


@pytest.mark.parametrize(("name", "members", "options", "styles"), LAYOUTS)
def test_the_layout_of_published_collections(tmp_path, name, members, options, styles):
    path = packed(tmp_path / name, dict.fromkeys(members, b"abc"))
    items = walked(path, style_depth=options)
    assert [item.source for item in items] == members
    assert sorted({item.style for item in items}) == styles
