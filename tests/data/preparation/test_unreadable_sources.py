"""What cannot be read, or should not be, in folders and archives."""

import gzip
import os
import socket
import tarfile
import tracemalloc

import pytest
from collections_of_songs import reasons, walked

from poph_tf.data import reading
from poph_tf.errors import InputError


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


def test_a_line_end_in_a_name_is_escaped(tmp_path):
    (tmp_path / "a\nb").mkdir()
    (tmp_path / "a\nb" / "c\x1b[2J.mid").write_bytes(b"x")
    (item,) = walked(tmp_path)
    assert (item.source, item.style) == (r"a\nb/c\x1b[2J.mid", r"a\nb")
