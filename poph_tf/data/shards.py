"""The framing of TFRecord files, without TensorFlow.

A record is its length (uint64), a checksum of the length, the data, and a checksum of
the data; a checksum is a masked CRC-32C; everything is little-endian. Workers that
prepare data write thousands of records and need not load TensorFlow for it.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c

from poph_tf.errors import InputError

HEADER_BYTES = 12
FOOTER_BYTES = 4
_MASK_DELTA = 0xA282EAD8


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)


def framed(data: bytes) -> bytes:
    """The bytes of one record."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def read(path: str | Path, max_bytes: int = 2**28) -> Iterator[tuple[int, bytes]]:
    """Reads the records of a TFRecord file, compressed (gzip) or not.

    Args:
        path: the file.
        max_bytes: a longer record counts as damage.

    Yields:
        The offset of each record in the uncompressed file, and its data.

    Raises:
        InputError: If a record is damaged; the message names the file and the place.
    """
    with Path(path).open("rb") as raw:
        compressed = raw.read(3) == b"\x1f\x8b\x08"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if compressed else raw
        offset = 0
        try:
            for data, damage in split(file, max_bytes):
                if damage:
                    raise InputError(
                        f"{path}: damaged record at byte {offset} ({damage})."
                    )
                yield offset, data
                offset += HEADER_BYTES + len(data) + FOOTER_BYTES
        except (EOFError, OSError, zlib.error):
            raise InputError(
                f"{path}: damaged compression near byte {offset}."
            ) from None


def split(file: Any, max_bytes: int = 2**28) -> Iterator[tuple[bytes, str]]:
    """Reads the records of an uncompressed TFRecord file, the damaged ones too.

    Args:
        file: a binary file.
        max_bytes: a longer record counts as damage.

    Yields:
        The data of each record and what is damaged: "" if nothing is, "data", or
        "length", which ends the reading.
    """
    while header := file.read(HEADER_BYTES):
        is_valid = len(header) == HEADER_BYTES and _masked(header[:8]) == header[8:]
        length = int.from_bytes(header[:8], "little")
        if not is_valid or length > max_bytes:
            yield b"", "length" if not is_valid else f"length of {length} bytes"
            return
        data = file.read(length)
        yield data, "" if _masked(data) == file.read(FOOTER_BYTES) else "data"
