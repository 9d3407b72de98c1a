"""What is in folders, archives and NoteSequence files, one item at a time.

Archives are read member by member, in their own order and into memory only; nothing is
unpacked to disk. A member that could do harm (a path out of the archive, a link, a size
beyond the limit) becomes an item with the reason why it is rejected. Folders are walked
in sorted order. So the items of a source always come in the same order.
"""

import bz2
import contextlib
import csv
import dataclasses
import gzip
import lzma
import os
import pathlib
import re
import tarfile
import zipfile
import zlib

from poph_tf.data import midi, shards
from poph_tf.data.preparation import folders
from poph_tf.errors import InputError

SEQUENCE_SUFFIX = ".notesequence"
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_ARCHIVE_ERRORS = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)
# What zipfile raises where the list of members makes no sense; and for one member.
_ZIP_ERRORS = (zipfile.BadZipFile, OSError, NotImplementedError, ValueError)
_MEMBER_ERRORS = (*_ZIP_ERRORS, EOFError, zlib.error, lzma.LZMAError)
_COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# Music compresses by 20 at most. Under a gigabyte it does not matter.
_LARGEST_RATIO = 200
_SMALL_ARCHIVE = 2**30
_READS_AT_END = 8
_NO_STYLE = "its path is not in the table of styles"


@dataclasses.dataclass(frozen=True)
class Item:
    """One file, archive member or record.

    Args:
        source: str. Its name, relative to the input.
        style: str.
        path: str or None. Where a worker can read it.
        data: bytes or None. Its content, where there is no path.
        reason: str or None. Why it is rejected, where it is.
    """

    source: str
    style: str
    path: str | None = None
    data: bytes | None = None
    reason: str | None = None

    def size(self):
        """Bytes that it holds in memory."""
        return len(self.data or b"") + 200


@dataclasses.dataclass
class Position:
    """How far a walk is.

    Args:
        share: float in 0..1 of the input read, None where that is not known.
    """

    share: float | None = None


def walk(settings, position=None):
    """Iterates over the items of all inputs.

    Args:
        settings: Settings.
        position: Position or None. Is kept up to date.

    Yields:
        Item.

    Raises:
        InputError: If an input is not there or is nothing that can be read.
    """
    namer = _Namer(settings, position or Position())
    for number, path in enumerate(settings.input):
        namer.begin(number)
        for item in _opener(path)(path, settings, namer):
            if item.style is None:
                item = dataclasses.replace(item, style="", data=None, path=None)
                if item.reason is None:
                    item = dataclasses.replace(item, reason=_NO_STYLE)
            yield item


def check(settings):
    """Raises InputError for the first input that cannot be read."""
    for path in settings.input:
        _opener(path)


def _opener(path):
    lower = path.lower()
    if not os.path.exists(path):
        raise InputError(f"No file or folder {path}.")
    if os.path.isdir(path):
        return _walk_folder
    if lower.endswith(".zip"):
        try:
            zipfile.ZipFile(path).close()
        except _ZIP_ERRORS:
            raise InputError(f"{path} is not a zip archive.") from None
        return _walk_zip
    if lower.endswith(_TAR_SUFFIXES):
        try:
            with _opened_tar(path):
                pass
        except _ARCHIVE_ERRORS:
            raise InputError(f"{path} is not a tar archive.") from None
        return _walk_tar
    if folders.is_records(path):
        return _walk_records
    if lower.endswith(midi.SUFFIXES):
        return _walk_file
    raise InputError(
        f"{path} must be a folder, a .zip or .tar(.gz/.bz2/.xz) archive, a file of "
        f"NoteSequences (.tfrecord .tfrecord.gz) or a music file "
        f"({' '.join(midi.SUFFIXES)})."
    )


class _Namer:
    """Names items and finds their styles; keeps the position."""

    def __init__(self, settings, position):
        self._position = position
        self._inputs = len(settings.input)
        self._depth = settings.style_depth
        self._table = (
            dict(read_styles(settings.styles_csv)) if settings.styles_csv else {}
        )
        self._several = len(settings.input) > 1

    def begin(self, number):
        """The walk has come to another input."""
        self._number = number
        self.at(0.0)

    def at(self, share):
        """The walk has come so far (0..1) within its input."""
        self._position.share = (self._number + share) / self._inputs

    def item(self, root, inside, **content):
        """An item at `inside` (a path with /) of the input `root`."""
        base = os.path.basename(os.path.abspath(root))
        source = f"{base}/{inside}" if self._several else inside
        style = self._style(base, source, inside)
        return Item(midi.readable(source), style and midi.readable(style), **content)

    def _style(self, base, source, inside):
        if self._table:
            stem = pathlib.PurePosixPath(inside).stem
            for name in (source, inside, os.path.basename(inside), stem):
                if name in self._table:
                    return self._table[name]
            return None
        above = inside.split("/")[:-1]
        if not above:
            return _stem(base)
        folder = above[min(self._depth, len(above)) - 1]
        return _stem(folder) if folders.is_records(folder) else folder


def _stem(base):
    """A folder's name, or an archive's without its suffixes."""
    lower = base.lower()
    if folders.is_records(base):
        return base[: folders.RECORDS.search(lower).start()]
    for suffix in (*_TAR_SUFFIXES[1:], ".tar", ".zip"):
        if lower.endswith(suffix):
            return base[: -len(suffix)]
    return base


def _walk_folder(root, settings, namer):
    files = list(folders.files_under(root))
    for number, inside in enumerate(files):
        namer.at(number / len(files))
        path = os.path.join(root, inside)
        if folders.is_records(inside):
            yield from _records(path, root, inside, settings, namer)
            continue
        reason = None
        try:
            if os.path.getsize(path) > settings.max_bytes:
                reason = too_large(settings)
        except OSError as error:
            reason = f"cannot be opened ({error.strerror})"
        yield namer.item(root, inside, path=path, reason=reason)


def _walk_file(path, settings, namer):
    folder = os.path.dirname(os.path.abspath(path))
    reason = too_large(settings) if os.path.getsize(path) > settings.max_bytes else None
    yield namer.item(folder, os.path.basename(path), path=path, reason=reason)


def too_large(settings):
    """The reason for files beyond the limit."""
    return f"larger than {settings.max_bytes:,} bytes"


def _leads_out(name):
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or bool(_DRIVE.match(name))


def _inside(name):
    """A member's path without what says nothing ("./", "//")."""
    return "/".join(p for p in name.split("/") if p not in ("", "."))


def _walk_tar(path, settings, namer):
    try:
        with _opened_tar(path) as (file, archive):
            for member in archive:
                namer.at(file.tell() / max(os.path.getsize(path), 1))
                # tarfile remembers every member it has seen: forget them.
                archive.members = []
                if folders.is_music(member.name) and not member.isdir():
                    yield _tar_item(path, archive, member, settings, namer)
    except _ARCHIVE_ERRORS:
        yield namer.item(path, "(rest)", reason="the archive is damaged from here on")


@contextlib.contextmanager
def _opened_tar(path):
    """The file of an archive and the archive, to be read from front to back."""
    with open(path, "rb") as file:
        magic = file.read(6)
        file.seek(0)
        opened = [o for m, o in _COMPRESSIONS.items() if magic.startswith(m)]
        stream = _Forward(opened[0](file) if opened else file, os.path.getsize(path))
        with tarfile.open(
            fileobj=stream, mode="r|", errors="surrogateescape"
        ) as archive:
            yield file, archive


class _Forward:
    """A stream that fails where reading on is hopeless.

    tarfile reads on past the end of a file for as long as a header says; and a few
    bytes can expand to any number.
    """

    def __init__(self, stream, size):
        self._stream = stream
        self._most = max(_LARGEST_RATIO * size, _SMALL_ARCHIVE)
        self._total = self._empty = 0

    def read(self, size):
        data = self._stream.read(size)
        self._total += len(data)
        self._empty += not data
        if self._total > self._most or self._empty > _READS_AT_END:
            raise EOFError("nothing more that makes sense")
        return data


def _tar_item(path, archive, member, settings, namer):
    inside = _inside(member.name)
    if _leads_out(member.name):
        return namer.item(path, inside, reason="its path leads out of the archive")
    if not member.isreg():
        return namer.item(path, inside, reason="a link or device in an archive")
    if member.size > settings.max_bytes:
        return namer.item(path, inside, reason=too_large(settings))
    return namer.item(path, inside, data=archive.extractfile(member).read())


def _walk_zip(path, settings, namer):
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for number, info in enumerate(members):
            namer.at(number / len(members))
            if folders.is_music(info.filename) and not info.is_dir():
                yield _zip_item(path, archive, info, settings, namer)


def _zip_item(path, archive, info, settings, namer):
    inside = _inside(info.filename)
    if _leads_out(info.filename):
        return namer.item(path, inside, reason="its path leads out of the archive")
    if info.external_attr >> 28 == 0o12:
        return namer.item(path, inside, reason="a link or device in an archive")
    if info.file_size > settings.max_bytes:
        return namer.item(path, inside, reason=too_large(settings))
    try:
        with archive.open(info) as member:
            # The declared size may lie: never read more than the limit.
            data = member.read(settings.max_bytes + 1)
    except RuntimeError:
        return namer.item(path, inside, reason="encrypted")
    except _MEMBER_ERRORS:
        return namer.item(path, inside, reason="damaged in the archive")
    if len(data) > settings.max_bytes:
        return namer.item(path, inside, reason=too_large(settings))
    return namer.item(path, inside, data=data)


def _walk_records(path, settings, namer):
    yield from _records(path, path, "", settings, namer)


def _records(path, root, inside, settings, namer):
    """The NoteSequences of a TFRecord file."""
    number = 0
    prefix = f"{inside}/" if inside else ""
    try:
        for number, (_, data) in enumerate(shards.read(path), 1):
            name = f"{prefix}{number:06d}{SEQUENCE_SUFFIX}"
            if len(data) > settings.max_bytes:
                yield namer.item(root, name, reason=too_large(settings))
            else:
                yield namer.item(root, name, data=data)
    except InputError:
        name = f"{prefix}{number + 1:06d}{SEQUENCE_SUFFIX}"
        yield namer.item(root, name, reason="a damaged record; the rest is not read")
    except OSError as error:
        reason = f"cannot be opened ({error.strerror})"
        yield namer.item(root, prefix.rstrip("/") or "(all)", reason=reason)


def read_styles(path):
    """Reads a table of styles.

    Args:
        path: str. A CSV file of two columns: a path (as sources are named, or a file
            name, with or without suffix) and a style.

    Returns:
        tuple of (path, style), sorted.

    Raises:
        InputError: If it is not such a table.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read the styles of {path}: {error}.") from None
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not row[1].strip():
            raise InputError(f"{path}, row {number}: must be path,style, got {row}.")
    if rows and rows[0][0].strip().lower() == "path":
        rows = rows[1:]
    if not rows:
        raise InputError(f"{path} names no styles.")
    return tuple(sorted({row[0].strip(): row[1].strip() for row in rows}.items()))
