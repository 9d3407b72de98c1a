"""Reads the members of zip, tar and 7z archives, into memory only.

Members come in the archive's own order; nothing is unpacked to disk. A member that
could do harm (a path out of the archive, a link, a size beyond the limit) comes with
the reason for its rejection in place of its content. Archives in archives are read too,
as folders with their names.
"""

import bz2
import contextlib
import gzip
import io
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
SUFFIXES = (*TAR_SUFFIXES, ".zip", ".7z")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_COMPRESSIONS = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}
# What a damaged archive raises when it is opened or read.
_ERRORS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, NotImplementedError, ValueError),
)
# Music compresses by a factor of 20 at most. Below a gigabyte it does not matter.
_LARGEST_RATIO = 200
_SMALL_ARCHIVE = 2**30
_READS_AT_END = 8
# Limits for what is held in memory: an inner archive, all members of a 7z.
_LARGEST_INNER = 2**28
_LARGEST_7Z = 2**30
_DEEPEST = 3
# Members of a tar that hold long names and other texts about the next member.
_TAR_TEXTS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_LARGEST_TAR_TEXT = 2**20


_Wanted = Callable[[str], bool]


class Member(NamedTuple):
    """A member of an archive.

    Attributes:
        share: share of the archive before it, 0..1.
        name: its path, separated by /.
        data: its content; None if it is rejected.
        reason: why it is rejected.
    """

    share: float
    name: str
    data: bytes | None = None
    reason: str | None = None


def too_large(max_bytes: int) -> str:
    """The reason for rejecting files beyond the limit."""
    return f"larger than {max_bytes:,} bytes"


def check(path: pathlib.Path) -> None:
    """Raises InputError if a file is not an archive of the kind that its name says."""
    kind = _kind(path.name)
    try:
        with path.open("rb") as file, _KINDS[kind][0](file):
            pass
    except InputError:
        raise
    except _ERRORS:
        raise InputError(f"{path} is not a {kind} archive.") from None


def read(path: pathlib.Path, wanted: _Wanted, max_bytes: int) -> Iterator[Member]:
    """Reads the members with wanted names; rejects those larger than `max_bytes`."""
    try:
        with path.open("rb") as file:
            yield from _read(file, path.name, wanted, max_bytes, depth=1)
    except OSError as error:
        yield Member(1.0, "", None, f"cannot be opened ({error.strerror})")


def _kind(name: str) -> str:
    suffix = pathlib.PurePath(name).suffix.lower()
    return suffix[1:] if suffix in (".zip", ".7z") else "tar"


def _read(
    file: IO[bytes], name: str, wanted: _Wanted, max_bytes: int, depth: int
) -> Iterator[Member]:
    """Reads the members of an archive, and those of the archives in it."""

    def is_inner(name: str) -> bool:
        return depth < _DEEPEST and name.lower().endswith(SUFFIXES)

    def limit(name: str) -> int:
        return max(max_bytes, _LARGEST_INNER) if is_inner(name) else max_bytes

    try:
        opened, members = _KINDS[_kind(name)]
        with opened(file) as archive:
            for member in members(
                archive, lambda name: wanted(name) or is_inner(name), limit
            ):
                if member.data is None or not is_inner(member.name):
                    yield member
                    continue
                content, base = io.BytesIO(member.data), member.name
                for inner in _read(content, base, wanted, max_bytes, depth + 1):
                    path = f"{base}/{inner.name}"
                    yield inner._replace(share=member.share, name=path)
    except InputError as error:
        yield Member(1.0, "(rest)", None, str(error))
    except _ERRORS:
        yield Member(1.0, "(rest)", None, "the archive is damaged from here on")


def _member_fault(name: str, size: int, regular: bool, max_bytes: int) -> str | None:
    """Why a member of an archive is rejected without being read."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or _DRIVE.match(name):
        return "its path leads out of the archive"
    if not regular:
        return "a link or device in an archive"
    return too_large(max_bytes) if size > max_bytes else None


def _inside(name: str) -> str:
    """A member's path without its empty parts ("./", "//")."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _tar_members(
    opened: "tuple[tarfile.TarFile, _Forward]",
    wanted: _Wanted,
    limit: Callable[[str], int],
) -> Iterator[Member]:
    archive, stream = opened
    for info in archive:
        # tarfile remembers every member it has seen, in a list that its types omit:
        # forget them.
        archive.members = []  # type: ignore[attr-defined]
        if not wanted(info.name) or info.isdir():
            continue
        reason = _member_fault(info.name, info.size, info.isreg(), limit(info.name))
        content = None if reason else archive.extractfile(info)
        data = content.read() if content else None
        yield Member(stream.share(), _inside(info.name), data, reason)


class _TarInfo(tarfile.TarInfo):
    """A header whose own texts, such as a long name, have a limit.

    tarfile reads them whole, before a name says whether the member is wanted.
    """

    def _proc_member(self, archive: tarfile.TarFile) -> "_TarInfo":
        if self.type in _TAR_TEXTS and self.size > _LARGEST_TAR_TEXT:
            raise tarfile.ReadError("a name of absurd length")
        # Private, so that tarfile's types omit it.
        return super()._proc_member(archive)  # type: ignore[misc]


@contextlib.contextmanager
def _opened_tar(file: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, "_Forward"]]:
    """An archive, to be read from front to back, and its stream."""
    magic = file.read(6)
    kinds = [kind for m, kind in _COMPRESSIONS.items() if magic.startswith(m)]
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    content: Any = kinds[0].open(file) if kinds else file
    stream = _Forward(content, file, size)
    with tarfile.open(
        # It has the file methods that "r|" uses, fewer than the types ask for.
        fileobj=stream,  # type: ignore[call-overload]
        mode="r|",
        errors="surrogateescape",
        tarinfo=_TarInfo,
    ) as archive:
        yield archive, stream


class _Forward:
    """A stream that fails when reading further is hopeless.

    tarfile reads past the end of a file for as long as a header says, and a few bytes
    can expand to any number.
    """

    def __init__(self, stream: IO[bytes], file: IO[bytes], size: int) -> None:
        self._stream, self._file, self._size = stream, file, max(size, 1)
        self._most = max(_LARGEST_RATIO * size, _SMALL_ARCHIVE)
        self._total = self._empty = 0

    def share(self) -> float:
        """How much of the file has been read, 0..1."""
        return self._file.tell() / self._size

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._total += len(data)
        self._empty += not data
        if self._total > self._most or self._empty > _READS_AT_END:
            raise EOFError("The archive declares more than it can hold.")
        return data


def _zip_members(
    archive: zipfile.ZipFile, wanted: _Wanted, limit: Callable[[str], int]
) -> Iterator[Member]:
    members = archive.infolist()
    for number, info in enumerate(members):
        name = info.filename
        if wanted(name) and not info.is_dir():
            regular = info.external_attr >> 28 != 0o12
            reason = _member_fault(name, info.file_size, regular, limit(name))
            data = None
            if reason is None:
                data, reason = _zip_data(archive, info, limit(name))
            yield Member(number / len(members), _inside(name), data, reason)


def _zip_data(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int
) -> tuple[bytes | None, str | None]:
    """(content, None) of a member, or (None, why it is rejected)."""
    try:
        with archive.open(info) as member:
            # The declared size may be wrong: never read more than the limit.
            data = member.read(max_bytes + 1)
    except RuntimeError:
        return None, "encrypted"
    except _ERRORS:
        return None, "damaged in the archive"
    return (data, None) if len(data) <= max_bytes else (None, too_large(max_bytes))


def _opened_7z(file: IO[bytes]) -> Any:
    try:
        import py7zr
    except ImportError:
        raise InputError(
            "a .7z archive needs py7zr: pip install 'poph_tf[archives]'"
        ) from None
    try:
        return py7zr.SevenZipFile(file, "r")
    except py7zr.exceptions.ArchiveError as error:
        raise zipfile.BadZipFile(str(error)) from None


def _7z_members(
    archive: Any, wanted: _Wanted, limit: Callable[[str], int]
) -> Iterator[Member]:
    """Reads all members at once: one by one, each would be unpacked from the start."""
    import py7zr

    sizes = {}
    for info in archive.list():
        if not info.is_directory and wanted(info.filename):
            name, size = info.filename, info.uncompressed
            regular = not getattr(info, "is_symlink", False)
            reason = _member_fault(name, size, regular, limit(name))
            if reason:
                yield Member(0.0, _inside(name), None, reason)
            else:
                sizes[name] = size
    if sum(sizes.values()) > _LARGEST_7Z:
        raise InputError("a .7z archive that is larger than 1 GB: unpack it first")
    factory = py7zr.io.BytesIOFactory(max(sizes.values(), default=0) + 1)
    try:
        archive.extract(targets=list(sizes), factory=factory)
    except (py7zr.exceptions.ArchiveError, RuntimeError) as error:
        raise zipfile.BadZipFile(str(error)) from None
    for number, name in enumerate(sizes):
        if name in factory.products:
            data = factory.products[name].read()
            yield Member(number / len(sizes), _inside(name), data)


# How an archive of each kind is opened, and its members read.
_KINDS: dict[
    str, tuple[Callable[[IO[bytes]], Any], Callable[..., Iterator[Member]]]
] = {
    "zip": (zipfile.ZipFile, _zip_members),
    "tar": (_opened_tar, _tar_members),
    "7z": (_opened_7z, _7z_members),
}
