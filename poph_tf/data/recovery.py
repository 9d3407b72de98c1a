"""Reads the sound records of a damaged TFRecord file and says what is damaged.

Shards are chains of gzip members, one for each record, so that damage costs the records
it lies in and no others: reading goes on at the next member. In files that were
compressed as one the records before the damage are read, and those behind a record
whose data alone is damaged. Positions are bytes of the file as it lies on the disk.
"""

import mmap
import struct
import zlib

from poph_tf.data import shards

_MAGIC = b"\x1f\x8b\x08"
_CHUNK_BYTES = 2**16


def records(path, damaged):
    """Iterates over the sound records of a file.

    Args:
        path: str or path.
        damaged: list. Gets a line for each place that is damaged; None: they are
            passed over in silence.

    Yields:
        bytes.
    """
    damaged = [] if damaged is None else damaged
    with open(path, "rb") as file:
        if not file.read(1):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from _sound(content, str(path), damaged)


def find(paths):
    """Lines about all damage in files; empty if they are sound."""
    damaged = []
    for path in paths:
        for _ in records(path, damaged):
            pass
    return damaged


def _sound(content, path, damaged):
    is_compressed = content[:2] == _MAGIC[:2] or path.endswith(".gz")
    at, searching = 0, False
    while 0 <= at < len(content):
        data, end = _member(content, at) if is_compressed else (content[:], None)
        found, whole = _split(data)
        if whole and end is None:
            whole = not is_compressed
        # In search of a member: what does not read is none, and not counted again.
        if not whole and not searching:
            damaged.append(f"{path}: damaged record at byte {at} of the file")
        yield from found
        if not is_compressed:
            return
        searching = not (found and end)
        at = end or content.find(_MAGIC, at + 1)


def _member(content, at):
    """(data, end) of the gzip member at a place; end None if it is damaged."""
    unpacker = zlib.decompressobj(31)
    parts = []
    while at < len(content):
        chunk = content[at : at + _CHUNK_BYTES]
        at += len(chunk)
        try:
            parts.append(unpacker.decompress(chunk))
        except zlib.error:
            return b"".join(parts), None
        if unpacker.eof:
            return b"".join(parts), at - len(unpacker.unused_data)
    return b"".join(parts), None


def _split(data):
    """(sound records, whether there is nothing else) of uncompressed bytes."""
    found, at, whole = [], 0, True
    while at < len(data):
        header = data[at : at + shards.HEADER_BYTES]
        if not shards.is_header(header):
            return found, False
        (length,) = struct.unpack("<Q", header[:8])
        begin = at + shards.HEADER_BYTES
        at = begin + length + shards.FOOTER_BYTES
        body = data[begin : begin + length]
        if shards.is_sound(body, data[begin + length : at]):
            found.append(body)
        else:
            whole = False
    return found, whole
