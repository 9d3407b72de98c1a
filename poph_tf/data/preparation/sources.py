"""Lists the content of folders, archives and NoteSequence files, item by item.

Folders are walked in sorted order, archives in their own (see `archives.py`), so that
the items of a source always come in the same order. A file that cannot be used becomes
an item with the reason for its rejection.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from poph_tf import files
from poph_tf.config.data import DataConfig
from poph_tf.data import examples, reading, shards
from poph_tf.data.preparation import archives, given_splits, parquet
from poph_tf.errors import InputError

# Folder in an output folder while it is being filled (see staging.py).
UNFINISHED = ".unfinished"
# The reason for a folder that could not be read.
UNREAD_FOLDER = "a folder that cannot be read"
# Including what TensorFlow's own tools add to the name of a shard.
_RECORDS = re.compile(r"\.tfrecords?(\.gz)?(-\d+-of-\d+)?(\.gz)?$")
# Tunes of a book are converted together up to this size of their texts; however large,
# a book is read at most this many times.
_PART_BYTES, _MOST_PARTS = 2**16, 64


@dataclasses.dataclass(frozen=True)
class Item:
    """One file, archive member or record.

    Attributes:
        source: its name, relative to the input.
        style: name of its style.
        path: where a worker can read it; None if `data` is given.
        data: its content, if there is no path.
        reason: why it is rejected; None if it is not.
        part: which part of its pieces it covers, and of how many parts.
    """

    source: str
    style: str = ""
    path: pathlib.Path | None = None
    data: bytes | None = None
    reason: str | None = None
    part: tuple[int, int] = (0, 1)


@dataclasses.dataclass
class Position:
    """How far a walk has come.

    Attributes:
        share: share of the input before the last item read, 0..1.
        files: how many files that is; a book in parts counts as fractions.
    """

    share: float = 0.0
    files: float = 0.0

    @property
    def total(self) -> float | None:
        """An estimate of all files; None if there is none yet."""
        return self.files / self.share if self.share else None


# (share of the input before an item, 0..1; item whose source is its path inside the
# input, with /, and which has no style yet).
_Found = tuple[float, Item]
_Reader = Callable[[pathlib.Path, int], Iterator[_Found]]


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
    split_of = given_splits.finder(settings)
    count, files = len(settings.input), 0
    for number, path in enumerate(map(pathlib.Path, settings.input)):
        read = _reader(path)
        # A single file lies in its folder, which names it and its style.
        base = _base(path.parent if read is _file else path)
        for share, item in read(path, settings.max_bytes):
            inside = item.source
            source = f"{base}/{inside}" if count > 1 else inside
            if not styles:
                style = _folder_style(inside, base, settings.style_depth)
            else:
                style = _listed(styles, source, inside)
                if not style and not item.reason:
                    item = Item(inside, reason="its path is not in the table of styles")
            if split_of and not item.reason and not split_of(source):
                item = Item(inside, reason=f"no split is known ({settings.split_by})")
            source, style = map(reading.readable_name, (source, style))
            item = dataclasses.replace(item, source=source, style=style)
            for part in _in_parts(item):
                # How large a file is compared to others is not known.
                begun = part.part[0] / part.part[1] if read is _file else 0.0
                position.share = (number + share + begun) / count
                position.files = files + begun
                yield part
            files += 1


def _in_parts(item: Item) -> Iterator[Item]:
    """Splits a large book into items of several tunes; other files stay as they are."""
    if item.reason or not item.source.lower().endswith(reading.BOOK_SUFFIX):
        yield item
        return
    data = item.data
    # What cannot be read is left to a worker, which reports why.
    with contextlib.suppress(OSError):
        if item.path and item.path.stat().st_size > _PART_BYTES:
            data = item.path.read_bytes()
    count = min(-(-len(data or b"") // _PART_BYTES), _MOST_PARTS)
    if count < 2:
        yield item
        return
    for number in range(count):
        yield dataclasses.replace(item, path=None, data=data, part=(number, count))


def check(settings: DataConfig) -> None:
    """Raises InputError for the first input that cannot be read."""
    for path in settings.input:
        _reader(pathlib.Path(path))


def state(settings: DataConfig) -> dict[str, Any]:
    """Names, sizes and modification times of all inputs; nothing is read.

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
    return "files with other names or modification times"


def _reader(path: pathlib.Path) -> _Reader:
    """The reader for an input; raises InputError if there is none."""
    name = path.name.lower()
    if not path.exists():
        raise InputError(f"No file or folder {path}.")
    if path.is_dir():
        return _folder
    if fault := _file_fault(path):
        raise InputError(f"{path}: {fault}.")
    if name.endswith(archives.SUFFIXES):
        archives.check(path)
    if found := _container(name):
        return found
    if name.endswith(reading.SUFFIXES):
        return _file
    raise InputError(
        f"{path} must be a folder, a .zip, .7z or .tar(.gz/.bz2/.xz) archive, a file "
        "of NoteSequences (.tfrecord .tfrecord.gz), a .parquet file or a music file "
        f"({' '.join(reading.SUFFIXES)})."
    )


def _container(name: str) -> _Reader | None:
    """The reader for a file that contains others, by its name."""
    name = name.lower()
    if name.rpartition("/")[2].startswith("._"):
        return None
    if name.endswith(archives.SUFFIXES):
        return _archive
    if name.endswith(parquet.SUFFIX):
        return _parquet
    return _records if _RECORDS.search(name) else None


def _listed(styles: Mapping[str, str], source: str, inside: str) -> str:
    """The style of a file in the table: by path, file name or stem; empty if none."""
    path = pathlib.PurePosixPath(inside)
    names = (source, inside, path.name, path.stem)
    return next((styles[name] for name in names if name in styles), "")


def _folder_style(inside: str, base: str, depth: int) -> str:
    """The style of a file: its folder of that depth, or else the input's name."""
    above = inside.split("/")[:-1]
    name = above[min(depth, len(above)) - 1] if above else base
    if records := _RECORDS.search(name.lower()):
        return name[: records.start()]
    endings = (*archives.SUFFIXES, parquet.SUFFIX)
    return name[
        : -len(next((e for e in endings if name.lower().endswith(e)), "")) or None
    ]


def _base(path: pathlib.Path) -> str:
    """The name of a folder or file; "." and ".." get the name of their folder."""
    return (path if path.name not in ("", "..") else path.resolve()).name


def _is_music(name: str) -> bool:
    """Whether a file name is that of a music file (not of macOS's shadow of one)."""
    base = name.rpartition("/")[2]
    return not base.startswith("._") and base.lower().endswith(reading.SUFFIXES)


def _given(name: str, data: bytes, max_bytes: int) -> Item:
    """An item whose content was read, unless it is too large."""
    if len(data) > max_bytes:
        return Item(name, reason=archives.too_large(max_bytes))
    return Item(name, data=data)


def _folder(root: pathlib.Path, max_bytes: int) -> Iterator[_Found]:
    unread: list[OSError] = []
    names = list(_files_under(root, unread.append))
    for error in unread:
        folder = pathlib.Path(error.filename).relative_to(root).as_posix()
        yield 0.0, Item(f"{folder}/", reason=f"{UNREAD_FOLDER} ({error.strerror})")
    for number, inside in enumerate(names):
        path, container = root / inside, _container(inside)
        # A container's own reader opens it here, not in a worker.
        if container and (fault := _file_fault(path)):
            yield number / len(names), Item(inside, reason=fault)
            continue
        for share, item in (container or _file)(path, max_bytes):
            source = inside
            if container and item.source:
                source = f"{inside}/{item.source}"
            share = (number + share) / len(names)
            yield share, dataclasses.replace(item, source=source)


def _file(path: pathlib.Path, max_bytes: int) -> Iterator[_Found]:
    yield 0.0, Item(path.name, path=path, reason=_file_fault(path, max_bytes))


def _file_fault(path: pathlib.Path, max_bytes: int | None = None) -> str | None:
    """Why a file is rejected unread; a pipe or device could be read forever."""
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if not stat.S_ISREG(status.st_mode):
        return files.NOT_REGULAR
    if max_bytes is not None and status.st_size > max_bytes:
        return archives.too_large(max_bytes)
    return None


def _files_under(
    root: pathlib.Path, unread: Callable[[OSError], object] | None = None
) -> Iterator[str]:
    """Relative paths of the music files and NoteSequence files, sorted by folder.

    Args:
        root: the folder.
        unread: is called with the error of each folder that cannot be read.
    """
    linked = {root.resolve()}
    for name, folders, names in os.walk(root, followlinks=True, onerror=unread):
        folder = pathlib.Path(name)
        if UNFINISHED in folders or _is_data_set(folder, names):
            folders.clear()  # Skip generated data sets.
            continue
        folders[:] = [n for n in sorted(folders) if _is_new(folder / n, linked)]
        for file in sorted(names):
            if _is_music(file) or _container(file):
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


def _is_data_set(folder: pathlib.Path, names: list[str]) -> bool:
    """Whether a folder is one of our data sets; other programs use the name too."""
    if examples.INFO_NAME not in names:
        return False
    try:
        info = json.loads((folder / examples.INFO_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and {"format_version", "splits"} <= set(info)


def _archive(path: pathlib.Path, max_bytes: int) -> Iterator[_Found]:
    for share, name, data, reason in archives.read(path, _is_music, max_bytes):
        yield share, Item(name, data=data, reason=reason)


def _parquet(path: pathlib.Path, max_bytes: int) -> Iterator[_Found]:
    try:
        for share, name, data in parquet.read(path):
            yield share, _given(name, data, max_bytes)
    except InputError as error:
        yield 1.0, Item("", reason=str(error))


def _records(path: pathlib.Path, max_bytes: int) -> Iterator[_Found]:
    """The NoteSequences of a TFRecord file."""
    names = (f"{k:06d}{reading.SEQUENCE_SUFFIX}" for k in itertools.count(1))
    try:
        for _, data in shards.read(path):
            yield 0.0, _given(next(names), data, max_bytes)
    except InputError:
        reason = "a damaged record; the rest is not read"
        yield 0.0, Item(next(names), reason=reason)
    except OSError as error:
        yield 0.0, Item("", reason=f"cannot be opened ({error.strerror})")


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
    rows = files.read_csv(path, "styles")
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not row[1].strip():
            raise InputError(f"{path}, row {number}: must be path,style, got {row}.")
    if rows and rows[0][0].strip().lower() == "path":
        rows = rows[1:]
    if not rows:
        raise InputError(f"{path} names no styles.")
    return dict(sorted({row[0].strip(): row[1].strip() for row in rows}.items()))
