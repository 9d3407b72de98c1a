"""Reads the members of zip and tar archives, into memory only.

Members come in the archive's own order; nothing is unpacked to disk. A member that
could do harm (a path out of the archive, a link, a size beyond the limit) comes with
the reason for its rejection in the place of its content.
"""

import bz2
import contextlib
import gzip
import lzma
import pathlib
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from poph_tf.errors import InputError

TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar")
SUFFIXES = (*TAR_SUFFIXES, ".zip")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_COMPRESSIONS = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}
# What a damaged archive raises when it is opened or read.
_ERRORS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, NotImplementedError, ValueError),
)
# Music compresses by 20 at most. Under a gigabyte it does not matter.
_LARGEST_RATIO = 200
_SMALL_ARCHIVE = 2**30
_READS_AT_END = 8


class Member(NamedTuple):
    """A member of an archive.

    Attributes:
        share: how much of the archive lies before it, 0..1.
        name: its path, with /.
        data: its content; None if it is rejected.
        reason: why it is rejected.
    """

    share: float
    name: str
    data: bytes | None = None
    reason: str | None = None


def too_large(max_bytes: int) -> str:
    """The reason of rejection for files beyond the limit."""
    return f"larger than {max_bytes:,} bytes"


def check(path: pathlib.Path) -> None:
    """Raises InputError if a file is not an archive of the kind that its name says."""
    kind = "zip" if path.suffix.lower() == ".zip" else "tar"
    try:
        with zipfile.ZipFile(path) if kind == "zip" else _opened_tar(path):
            pass
    except _ERRORS:
        raise InputError(f"{path} is not a {kind} archive.") from None


def read(
    path: pathlib.Path, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[Member]:
    """Reads the members of wanted names; those larger than `max_bytes` are rejected."""
    read = _read_zip if path.suffix.lower() == ".zip" else _read_tar
    return read(path, wanted, max_bytes)


def _member_fault(name: str, size: int, regular: bool, max_bytes: int) -> str | None:
    """Why a member of an archive is rejected unread."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or _DRIVE.match(name):
        return "its path leads out of the archive"
    if not regular:
        return "a link or device in an archive"
    return too_large(max_bytes) if size > max_bytes else None


def _inside(name: str) -> str:
    """A member's path without its empty parts ("./", "//")."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _read_tar(
    path: pathlib.Path, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[Member]:
    size = max(path.stat().st_size, 1)
    try:
        with _opened_tar(path) as (file, archive):
            for info in archive:
                share = file.tell() / size
                # tarfile remembers every member it has seen: forget them.
                archive.members = []  # type: ignore[attr-defined]
                if not wanted(info.name) or info.isdir():
                    continue
                reason = _member_fault(info.name, info.size, info.isreg(), max_bytes)
                content = None if reason else archive.extractfile(info)
                data = content.read() if content else None
                yield Member(share, _inside(info.name), data, reason)
    except _ERRORS:
        reason = "the archive is damaged from here on"
        yield Member(1.0, "(rest)", None, reason)


@contextlib.contextmanager
def _opened_tar(path: pathlib.Path) -> Iterator[tuple[IO[bytes], tarfile.TarFile]]:
    """The file of an archive and the archive, to be read from front to back."""
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        kinds = [kind for m, kind in _COMPRESSIONS.items() if magic.startswith(m)]
        content: Any = kinds[0].open(file) if kinds else file
        stream = _Forward(content, path.stat().st_size)
        with tarfile.open(
            fileobj=stream,  # type: ignore[call-overload]
            mode="r|",
            errors="surrogateescape",
        ) as archive:
            yield file, archive


class _Forward:
    """A stream that fails where reading on is hopeless.

    tarfile reads on past the end of a file for as long as a header says; and a few
    bytes can expand to any number.
    """

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._most = max(_LARGEST_RATIO * size, _SMALL_ARCHIVE)
        self._total = self._empty = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._total += len(data)
        self._empty += not data
        if self._total > self._most or self._empty > _READS_AT_END:
            raise EOFError("The archive declares more than it can hold.")
        return data


def _read_zip(
    path: pathlib.Path, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for number, info in enumerate(members):
            name = info.filename
            if wanted(name) and not info.is_dir():
                regular = info.external_attr >> 28 != 0o12
                reason = _member_fault(name, info.file_size, regular, max_bytes)
                data = None
                if reason is None:
                    data, reason = _zip_data(archive, info, max_bytes)
                yield Member(number / len(members), _inside(name), data, reason)


def _zip_data(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int
) -> tuple[bytes | None, str | None]:
    """(content, None) of a member, or (None, why it is rejected)."""
    try:
        with archive.open(info) as member:
            # The declared size may lie: never read more than the limit.
            data = member.read(max_bytes + 1)
    except RuntimeError:
        return None, "encrypted"
    except _ERRORS:
        return None, "damaged in the archive"
    return (data, None) if len(data) <= max_bytes else (None, too_large(max_bytes))
