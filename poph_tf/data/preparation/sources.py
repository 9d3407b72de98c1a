"""Lists what folders, archives and NoteSequence files hold, one item at a time.

Archives are read member by member, in their own order and into memory only; nothing is
unpacked to disk. A member that could do harm (a path out of the archive, a link, a size
beyond the limit) becomes an item with the reason for its rejection. Folders are walked
in sorted order. So the items of a source always come in the same order.
"""

import bz2
import contextlib
import csv
import dataclasses
import gzip
import hashlib
import json
import lzma
import os
import pathlib
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from poph_tf.config.data import DataConfig
from poph_tf.data import examples, reading, shards
from poph_tf.errors import InputError

# Folder in an output folder while it is being filled (see staging.py).
UNFINISHED = ".unfinished"
_TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar")
# With what TensorFlow's own tools add to the name of a shard.
_RECORDS = re.compile(r"\.tfrecords?(\.gz)?(-\d+-of-\d+)?(\.gz)?$")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_TAR_ERRORS = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)
# What zipfile raises where the list of members makes no sense; and for one member.
_ZIP_ERRORS = (zipfile.BadZipFile, OSError, NotImplementedError, ValueError)
_MEMBER_ERRORS = (*_ZIP_ERRORS, EOFError, zlib.error, lzma.LZMAError)
_COMPRESSIONS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
# Music compresses by 20 at most. Under a gigabyte it does not matter.
_LARGEST_RATIO = 200
_SMALL_ARCHIVE = 2**30
_READS_AT_END = 8


@dataclasses.dataclass(frozen=True)
class Item:
    """One file, archive member or record.

    Attributes:
        source: its name, relative to the input.
        style: name of its style.
        path: where a worker can read it; None if `data` is given.
        data: its content, where there is no path.
        reason: why it is rejected; None if it is not.
    """

    source: str
    style: str
    path: pathlib.Path | None = None
    data: bytes | None = None
    reason: str | None = None


@dataclasses.dataclass
class Position:
    """How far a walk is: the share of the input that was read, 0..1."""

    share: float = 0.0


@dataclasses.dataclass(frozen=True)
class _Member:
    """What a reader finds: a path inside the input, and content as in `Item`.

    Attributes:
        inside: path within the input, with /.
        share: how much of the input lies before it, 0..1.
    """

    inside: str
    share: float = 0.0
    path: pathlib.Path | None = None
    data: bytes | None = None
    reason: str | None = None


_Reader = Callable[[pathlib.Path, int], Iterator[_Member]]


def walk(settings: DataConfig, position: Position | None = None) -> Iterator[Item]:
    """Iterates over the items of all inputs.

    Args:
        settings: names the inputs and says how styles are found.
        position: is kept up to date.

    Raises:
        InputError: If an input is missing or of an unknown kind.
    """
    position = position or Position()
    styles = read_styles(settings.styles_csv)
    count = len(settings.input)
    for number, path in enumerate(map(pathlib.Path, settings.input)):
        read = _reader(path)
        # A single file lies in its folder, which names it and its style.
        base = _base(path.parent if read is _file else path)
        for member in read(path, settings.max_bytes):
            position.share = (number + member.share) / count
            source = f"{base}/{member.inside}" if count > 1 else member.inside
            names = (source, member.inside)
            style = _listed(styles, names) if styles else None
            item = Item(
                reading.readable_name(source),
                reading.readable_name(
                    style or _folder_style(member.inside, base, settings.style_depth)
                ),
                path=member.path,
                data=member.data,
                reason=member.reason,
            )
            if styles and style is None:
                reason = item.reason or "its path is not in the table of styles"
                item = Item(item.source, "", reason=reason)
            yield item


def check(settings: DataConfig) -> None:
    """Raises InputError for the first input that cannot be read."""
    for path in settings.input:
        _reader(pathlib.Path(path))


def state(settings: DataConfig) -> dict[str, Any]:
    """Names, sizes and times of change of all inputs; nothing is read.

    Returns:
        dict: `files` and `bytes`, int; `digest`, str.
    """
    digest, count, total = hashlib.sha256(), 0, 0
    for path in map(pathlib.Path, settings.input):
        for inside in _files_under(path) if path.is_dir() else [""]:
            size = time = 0
            with contextlib.suppress(OSError):
                status = (path / inside).stat()
                size, time = status.st_size, status.st_mtime_ns
            count, total = count + 1, total + size
            digest.update(repr((inside, size, time)).encode())
    return {"files": count, "bytes": total, "digest": digest.hexdigest()[:16]}


def changes(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str | None:
    """Describes what changed between two results of `state`; None if nothing did.

    Example:
        >>> changes({"files": 4, "digest": "a"}, {"files": 5, "digest": "b"})
        '4 files then, 5 now'
    """
    if not before or before["digest"] == now["digest"]:
        return None
    for name in ("files", "bytes"):
        if before[name] != now[name]:
            return f"{before[name]:,} {name} then, {now[name]:,} now"
    return "files of other names, or with another time of change"


def _reader(path: pathlib.Path) -> _Reader:
    """The reader for an input; raises InputError if there is none."""
    name = path.name.lower()
    if not path.exists():
        raise InputError(f"No file or folder {path}.")
    if path.is_dir():
        return _folder
    if name.endswith(".zip"):
        try:
            zipfile.ZipFile(path).close()
        except _ZIP_ERRORS:
            raise InputError(f"{path} is not a zip archive.") from None
        return _zip
    if name.endswith(_TAR_SUFFIXES):
        try:
            with _opened_tar(path):
                pass
        except _TAR_ERRORS:
            raise InputError(f"{path} is not a tar archive.") from None
        return _tar
    if _is_records(name):
        return _records
    if name.endswith(reading.SUFFIXES):
        return _file
    raise InputError(
        f"{path} must be a folder, a .zip or .tar(.gz/.bz2/.xz) archive, a file of "
        f"NoteSequences (.tfrecord .tfrecord.gz) or a music file "
        f"({' '.join(reading.SUFFIXES)})."
    )


def _listed(styles: Mapping[str, str], names: tuple[str, str]) -> str | None:
    """The style of a file in the table: by path, file name or stem."""
    inside = pathlib.PurePosixPath(names[1])
    found = (styles.get(name) for name in (*names, inside.name, inside.stem))
    return next((style for style in found if style is not None), None)


def _folder_style(inside: str, base: str, depth: int) -> str:
    """The style of a file: its folder of that depth, or else the input's name."""
    above = inside.split("/")[:-1]
    name = above[min(depth, len(above)) - 1] if above else base
    records = _RECORDS.search(name.lower())
    if records:
        return name[: records.start()]
    endings = () if above else (*_TAR_SUFFIXES, ".zip")
    return name[
        : -len(next((e for e in endings if name.lower().endswith(e)), "")) or None
    ]


def _base(path: pathlib.Path) -> str:
    """The name of a folder or file; "." and ".." are named as their folder is."""
    return (path if path.name not in ("", "..") else path.resolve()).name


def _is_music(name: str) -> bool:
    """Whether a file name is that of a music file (not of a Mac's shadow of one)."""
    base = name.rpartition("/")[2]
    return not base.startswith("._") and base.lower().endswith(reading.SUFFIXES)


def _is_records(name: str) -> bool:
    return bool(_RECORDS.search(name.lower()))


def too_large(max_bytes: int) -> str:
    """The reason of rejection for files beyond the limit."""
    return f"larger than {max_bytes:,} bytes"


def _folder(root: pathlib.Path, max_bytes: int) -> Iterator[_Member]:
    files = list(_files_under(root))
    for number, inside in enumerate(files):
        share = number / len(files)
        if _is_records(inside):
            for member in _records(root / inside, max_bytes):
                name = f"{inside}/{member.inside}".removesuffix("/(all)")
                yield dataclasses.replace(member, inside=name, share=share)
        else:
            (member,) = _file(root / inside, max_bytes)
            yield dataclasses.replace(member, inside=inside, share=share)


def _file(path: pathlib.Path, max_bytes: int) -> Iterator[_Member]:
    reason = None
    try:
        if path.stat().st_size > max_bytes:
            reason = too_large(max_bytes)
    except OSError as error:
        reason = f"cannot be opened ({error.strerror})"
    yield _Member(path.name, path=path, reason=reason)


def _files_under(root: pathlib.Path) -> Iterator[str]:
    """Relative paths of the music files and NoteSequence files, sorted by folder."""
    linked = {root.resolve()}
    for name, folders, files in os.walk(root, followlinks=True):
        folder = pathlib.Path(name)
        if UNFINISHED in folders or _is_data_set(folder, files):
            folders.clear()  # Skip generated data sets.
            continue
        folders[:] = [n for n in sorted(folders) if _is_new(folder / n, linked)]
        for file in sorted(files):
            if _is_music(file) or _is_records(file):
                yield (folder / file).relative_to(root).as_posix()


def _is_new(folder: pathlib.Path, linked: set[pathlib.Path]) -> bool:
    """Whether a folder is walked: a link only if it leads to a place not seen yet.

    Args:
        folder: the folder or link.
        linked: real paths of the root and of the links followed; is added to.
    """
    if not folder.is_symlink():
        return True
    real = folder.resolve()
    if any(real.is_relative_to(o) or o.is_relative_to(real) for o in linked):
        return False
    linked.add(real)
    return True


def _is_data_set(folder: pathlib.Path, files: list[str]) -> bool:
    """Whether a data set of ours lies in a folder; other programs use the name too."""
    if examples.INFO_NAME not in files:
        return False
    try:
        info = json.loads((folder / examples.INFO_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and {"format_version", "splits"} <= set(info)


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


def _tar(path: pathlib.Path, max_bytes: int) -> Iterator[_Member]:
    size = max(path.stat().st_size, 1)
    try:
        with _opened_tar(path) as (file, archive):
            for info in archive:
                share = file.tell() / size
                # tarfile remembers every member it has seen: forget them.
                archive.members = []  # type: ignore[attr-defined]
                if not _is_music(info.name) or info.isdir():
                    continue
                name = _inside(info.name)
                reason = _member_fault(info.name, info.size, info.isreg(), max_bytes)
                content = None if reason else archive.extractfile(info)
                data = content.read() if content else None
                yield _Member(name, share, data=data, reason=reason)
    except _TAR_ERRORS:
        yield _Member("(rest)", 1.0, reason="the archive is damaged from here on")


@contextlib.contextmanager
def _opened_tar(path: pathlib.Path) -> Iterator[tuple[IO[bytes], tarfile.TarFile]]:
    """The file of an archive and the archive, to be read from front to back."""
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        opened = [o for m, o in _COMPRESSIONS.items() if magic.startswith(m)]
        stream = _Forward(opened[0](file) if opened else file, path.stat().st_size)
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


def _zip(path: pathlib.Path, max_bytes: int) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for number, info in enumerate(members):
            if not _is_music(info.filename) or info.is_dir():
                continue
            regular = info.external_attr >> 28 != 0o12
            reason = _member_fault(info.filename, info.file_size, regular, max_bytes)
            data = None
            if reason is None:
                data, reason = _zip_data(archive, info, max_bytes)
            share = number / len(members)
            yield _Member(_inside(info.filename), share, data=data, reason=reason)


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
    except _MEMBER_ERRORS:
        return None, "damaged in the archive"
    return (data, None) if len(data) <= max_bytes else (None, too_large(max_bytes))


def _records(path: pathlib.Path, max_bytes: int) -> Iterator[_Member]:
    """The NoteSequences of a TFRecord file."""
    number = 0
    try:
        for number, (_, data) in enumerate(shards.read(path), 1):
            name = f"{number:06d}{reading.SEQUENCE_SUFFIX}"
            if len(data) > max_bytes:
                yield _Member(name, reason=too_large(max_bytes))
            else:
                yield _Member(name, data=data)
    except InputError:
        name = f"{number + 1:06d}{reading.SEQUENCE_SUFFIX}"
        yield _Member(name, reason="a damaged record; the rest is not read")
    except OSError as error:
        yield _Member("(all)", reason=f"cannot be opened ({error.strerror})")


def read_styles(path: str) -> dict[str, str]:
    """Reads a table of styles.

    Args:
        path: a CSV file of two columns: a path (as sources are named, or a file name,
            with or without suffix) and a style. Empty for no table.

    Returns:
        dict from path to style, sorted by path.

    Raises:
        InputError: If it is not such a table.
    """
    if not path:
        return {}
    try:
        with pathlib.Path(path).open(encoding="utf-8-sig", newline="") as file:
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
    return dict(sorted({row[0].strip(): row[1].strip() for row in rows}.items()))
