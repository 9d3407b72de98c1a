"""Writes files atomically, and reads tables.

A file is written under another name in the same folder, flushed to the disk and
renamed, so a reader finds either the old content or the new, never a part of it.
"""

import contextlib
import csv
import errno
import json
import math
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from poph_tf.errors import InputError

PARTIAL = ".partial"
# The reason why a pipe, socket or device is not read as a file.
NOT_REGULAR = "not a regular file"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path whose file replaces `path` at the end.

    If the block raises, `path` keeps its old content and the temporary file is removed.
    The temporary name keeps the suffix, because some writers choose the format by it.

    Raises:
        OSError: If the file cannot be written.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.stem}{PARTIAL}{path.suffix}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The content of a regular file; reading a pipe or device might never end.

    Raises:
        OSError: If it is not a regular file, or cannot be read.
    """
    mode = pathlib.Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
    return pathlib.Path(path).read_bytes()


def read_csv(path: str | os.PathLike[str], what: str) -> list[list[str]]:
    """The non-empty rows of a CSV file.

    Args:
        path: the file.
        what: what the file holds, for the error message.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with pathlib.Path(path).open(encoding="utf-8-sig", newline="") as file:
            return [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read the {what} of {path}: {error}.") from None


def write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes bytes, or text as UTF-8, atomically."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as partial:
        partial.write_bytes(data)


def to_json(value: Any, *, indent: int | None = 2, sort_keys: bool = False) -> str:
    """A value as JSON; numbers that JSON lacks (NaN, infinities) become null.

    Example:
        >>> to_json({"a": float("nan"), "b": [1.5, -float("inf")]}, indent=None)
        '{"a": null, "b": [1.5, null]}'
    """
    options: dict[str, Any] = {"indent": indent, "sort_keys": sort_keys}
    options["allow_nan"] = False
    try:
        return json.dumps(value, **options)
    except ValueError:
        return json.dumps(_finite(value), **options)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(x) for key, x in value.items()}
    return [_finite(x) for x in value] if isinstance(value, list | tuple) else value


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes a value as JSON with sorted keys."""
    write(path, to_json(value, sort_keys=True) + "\n")


def ready_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Makes a folder for results before the work begins.

    Raises:
        InputError: If it is not a folder, or cannot be written to.
    """
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} must be a folder ({error.strerror}).") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write in {path} (Permission denied).")
    return folder


def ready_output(path: str | os.PathLike[str]) -> None:
    """Raises InputError if a file for results could not be written to its folder."""
    if pathlib.Path(path).is_dir():
        raise InputError(f"Cannot write {path}: it is a folder.")
    ready_folder(pathlib.Path(path).parent)


def write_output(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes a file that a user asked for.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        write(path, content)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.") from error
