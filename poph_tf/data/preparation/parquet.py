"""Reads the files of a Parquet table, the export format of Hugging Face data sets.

A column holds the bytes of each file, or a record of `bytes` and `path`.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

from poph_tf.data import reading
from poph_tf.errors import InputError

SUFFIX = ".parquet"
_ROWS = 64
_MIDI = (b"MThd", b"RIFF")


def read(path: pathlib.Path) -> Iterator[tuple[float, str, bytes]]:
    """Iterates over the music files of a table.

    Yields:
        (share of the table before it, name, content). A name is the number of the row,
        from 1, with the suffix of its path, or .mid.

    Raises:
        InputError: If it cannot be read; the message is the reason for rejection.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise InputError(
            "a .parquet file needs pyarrow: pip install 'poph_tf[archives]'"
        ) from None
    try:
        with parquet.ParquetFile(path) as table:
            total, row = max(table.metadata.num_rows, 1), 0
            for batch in table.iter_batches(_ROWS):
                for values in batch.to_pylist():
                    row += 1
                    for name, data in _files(values):
                        yield row / total, f"{row:06d}{name}", data
    except (ArrowException, OSError):
        raise InputError("not a .parquet file that can be read") from None


def _files(values: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(suffix, content) of the music files of a row."""
    for value in values.values():
        data, path = value, ""
        if isinstance(value, dict):
            data, path = value.get("bytes"), str(value.get("path") or "")
        suffix = pathlib.PurePath(path).suffix.lower()
        if not isinstance(data, bytes):
            continue
        if suffix in reading.SUFFIXES:
            yield suffix, data
        elif data.startswith(_MIDI):
            yield reading.MIDI_SUFFIXES[0], data
