"""Recovers the valid records of a damaged TFRecord file.

Shards are chains of gzip members, one for each record, so that damage costs only the
records it lies in: reading continues at the next member. In files that were compressed
as a whole, the records before the damage are read, and those after a record with damage
in its data alone. Positions are byte offsets in the file on disk.
"""

import io
import mmap
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from poph_tf.data import shards

_MAGIC = b"\x1f\x8b\x08"
_CHUNK_BYTES = 2**16


def records(path: str | Path, damaged: list[str] | None = None) -> Iterator[bytes]:
    """Iterates over the valid records of a file.

    Args:
        path: the file.
        damaged: gets a line for each damaged place; without it they are skipped
            silently.
    """
    damaged = [] if damaged is None else damaged
    with Path(path).open("rb") as file:
        if not file.read(1):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from _valid_records(content, str(path), damaged)


def find(paths: Iterable[str | Path]) -> list[str]:
    """Lists a line for each damaged place in files."""
    damaged: list[str] = []
    for path in paths:
        for _ in records(path, damaged):
            pass
    return damaged


def _valid_records(
    content: mmap.mmap, path: str, damaged: list[str]
) -> Iterator[bytes]:
    is_compressed = content[:2] == _MAGIC[:2] or path.endswith(".gz")
    at, searching = 0, False
    while 0 <= at < len(content):
        data, end = (
            _member(content, at) if is_compressed else (content[:], len(content))
        )
        records = list(shards.split(io.BytesIO(data), max_bytes=len(data)))
        found = [record for record, damage in records if not damage]
        is_whole = end and len(found) == len(records)
        # While searching for a member, what cannot be read is not one and not counted.
        if not is_whole and not searching:
            damaged.append(f"{path}: damaged record at byte {at} of the file")
        yield from found
        searching = not (found and end)
        at = end or content.find(_MAGIC, at + 1)


def _member(content: mmap.mmap, at: int) -> tuple[bytes, int | None]:
    """Data and end of the gzip member at a place; the end is None if it is damaged."""
    unpacker = zlib.decompressobj(31)
    parts = []
    while at < len(content) and not unpacker.eof:
        chunk = content[at : at + _CHUNK_BYTES]
        at += len(chunk)
        try:
            parts.append(unpacker.decompress(chunk))
        except zlib.error:
            return b"".join(parts), None
    end = at - len(unpacker.unused_data) if unpacker.eof else None
    return b"".join(parts), end
