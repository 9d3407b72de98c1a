"""Files in folders and archives that cannot or should not be read."""

import csv
import errno
import gzip
import io
import os
import pathlib
import socket
import tarfile
import tracemalloc
import zipfile

import pytest
from collections_of_songs import prepared, reasons, song, walked, write
from systems import needs_posix

from poph_tf.config import DataConfig
from poph_tf.data import reading, shards
from poph_tf.data.preparation import conversion, pipeline, sources
from poph_tf.errors import InputError

# Linux can open it, but each read fails with EIO, in all processes.
NO_DISK = pathlib.Path("/proc/self/mem")


class Failing(io.BytesIO):
    """A file on a disk that fails after the first bytes."""

    def read(self, size=-1):
        if self.tell() + (size if size >= 0 else 2**62) > 600:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """A book, archives and records that are only partly readable."""
    (tmp_path / "book.abc").write_text("X:1\nK:C\nCDEF|\n\n" * 5000)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for k in range(4):
            archive.writestr(f"{k}.mid", song(k))
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        archive.add(tmp_path / "b.zip", "notes.txt")
        archive.add(tmp_path / "b.zip", "x.mid")
    (tmp_path / "d.tfrecord").write_bytes(shards.framed(bytes(2000)))
    opened = pathlib.Path.open

    def open_(path, mode="r", *rest, **named):
        file = opened(path, mode, *rest, **named)
        return Failing(file.read()) if path.parent == tmp_path else file

    monkeypatch.setattr(pathlib.Path, "open", open_)
    return tmp_path


def test_a_folder_that_cannot_be_read_is_an_item_with_its_reason(tmp_path, monkeypatch):
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.mid").write_bytes(b"x")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert reasons(tmp_path) == {
        "locked/": "a folder that cannot be read (Permission denied)",
        "good/a.mid": None,
    }


@needs_posix
def test_pipes_and_sockets_are_rejected_unread(tmp_path):
    for name in ("a.mid", "b.zip", "c.tfrecord", "d.parquet"):
        os.mkfifo(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "e.mid"))
    assert set(reasons(tmp_path).values()) == {"not a regular file"}
    assert len(reasons(tmp_path)) == 5
    with pytest.raises(InputError, match=r"a.mid: not a regular file"):
        reasons(tmp_path / "a.mid")
    with pytest.raises(InputError, match=r"a.mid: not a regular file"):
        reading.read(tmp_path / "a.mid")


def test_a_name_of_absurd_length_in_a_tar_is_not_read(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**34
    block = header.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(block + bytes(2**26)))
    tracemalloc.start()
    found = reasons(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == {"a.tar.gz/(rest)": "the archive is damaged from here on"}
    assert peak < 2**24


@needs_posix
def test_a_line_end_in_a_name_is_escaped(tmp_path):
    (tmp_path / "a\nb").mkdir()
    (tmp_path / "a\nb" / "c\x1b[2J.mid").write_bytes(b"x")
    (item,) = walked(tmp_path)
    assert (item.source, item.style) == (r"a\nb/c\x1b[2J.mid", r"a\nb")


def test_a_disk_that_fails_within_a_file_costs_that_file_only(failing):
    items = {item.source: item for item in walked(failing)}
    (book,) = conversion.convert(items.pop("book.abc"), DataConfig(input=("x",)))
    assert book.reason == "cannot be read (Input/output error)"
    damaged = "the archive is damaged from here on"
    assert {source: item.reason for source, item in items.items()} == {
        "b.zip/(rest)": damaged,
        "c.tar/(rest)": damaged,
        "d.tfrecord/000001.notesequence": "a damaged record; the rest is not read",
    }


@pytest.mark.skipif(not NO_DISK.exists(), reason="needs Linux' /proc")
def test_files_that_a_disk_cannot_read_are_rejected_and_the_run_goes_on(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sources, "_PART_BYTES", -1)
    names = ("a.mid", "b.abc", "c.musicxml", "d.zip", "e.tar.gz", "f.tfrecord")
    write(tmp_path / "in", 6)
    for name in names:
        (tmp_path / "in" / name).symlink_to(NO_DISK)
    prepared(tmp_path / "in", tmp_path / "out")
    with (tmp_path / "out" / pipeline.REJECTS_NAME).open() as file:
        rejected = list(csv.reader(file))[1:]
    assert {row[0].split("/")[0] for row in rejected} == set(names), rejected
