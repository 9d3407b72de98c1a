"""The framing of TFRecord files, without TensorFlow.

A record is its length (uint64), a checksum of that, the data, a checksum of the data;
a checksum is a masked CRC-32C; everything little-endian. Workers that prepare data
write records by the thousand and need not load TensorFlow for it.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poph_tf.errors import InputError

HEADER_BYTES = 12
FOOTER_BYTES = 4
_POLYNOMIAL = 0x82F63B78
_BLOCK = 1024
# These bytes take the state of the checksum from 0 to all ones, where it begins.
_START = bytes.fromhex("54641f64")
_MASK_DELTA = 0xA282EAD8


def _tables() -> np.ndarray:
    """uint32 [_BLOCK, 256]: the checksum of a byte with k zero bytes after it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ _POLYNOMIAL, table >> 1)
    tables = np.empty((_BLOCK, 256), np.uint32)
    tables[0] = table
    for k in range(1, _BLOCK):
        tables[k] = table[tables[k - 1] & 0xFF] ^ tables[k - 1] >> 8
    return tables


_TABLES = _tables()
_PLACES = np.arange(_BLOCK - 1, -1, -1) * 256


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of bytes.

    The checksum is linear and ignores zeros at the start: that of a block is the xor of
    those of its bytes, and the state before it counts like a change of its first four.
    """
    size = min(len(data) + len(_START), _BLOCK)
    padding = bytes(-(len(data) + len(_START)) % size)
    blocks = np.frombuffer(padding + _START + data, np.uint8).reshape(-1, size)
    sums = np.bitwise_xor.reduce(_TABLES.reshape(-1)[_PLACES[-size:] + blocks], axis=1)
    state = 0
    for block_sum in sums.tolist():
        for k in range(4):
            block_sum ^= int(_TABLES[size - 1 - k, state >> 8 * k & 0xFF])
        state = block_sum
    return state ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
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
        The place where a record begins in the uncompressed file, and its data.

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
