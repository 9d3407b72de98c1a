"""The framing of TFRecord files, without TensorFlow.

A record is its length (uint64), a checksum of that, the data, a checksum of the data;
a checksum is a masked CRC-32C; everything little-endian. Workers that prepare data
write records by the thousand and need not load TensorFlow for it.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import gzip
import struct
import zlib

import numpy as np

from poph_tf.errors import InputError

HEADER_BYTES = 12
FOOTER_BYTES = 4
_POLYNOMIAL = 0x82F63B78
_BLOCK = 1024
_MASK_DELTA = 0xA282EAD8


def _tables():
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
# The checksum is linear: that of a block is the sum (xor) of those of its bytes, and
# the state before it counts like a change of its first four bytes.
_PLACES = np.arange(_BLOCK - 1, -1, -1) * 256


def crc32c(data):
    """CRC-32C (Castagnoli) of bytes."""
    values = np.frombuffer(data, np.uint8)
    whole = len(values) - len(values) % _BLOCK
    blocks = values[:whole].reshape(-1, _BLOCK)
    flat = _TABLES.reshape(-1)
    sums = np.bitwise_xor.reduce(flat[_PLACES + blocks], axis=1).tolist()
    state = 0xFFFFFFFF
    for block_sum in sums:
        state = block_sum ^ _carried(state, _BLOCK)
    tail = values[whole:]
    if len(tail) >= 4:
        tail_sum = int(np.bitwise_xor.reduce(flat[_PLACES[-len(tail) :] + tail]))
        return tail_sum ^ _carried(state, len(tail)) ^ 0xFFFFFFFF
    for value in tail.tolist():
        state = int(_TABLES[0, state & 0xFF ^ value]) ^ state >> 8
    return state ^ 0xFFFFFFFF


def _carried(state, size):
    """What a state becomes over a block of `size` >= 4 zero bytes."""
    return int(
        _TABLES[size - 1, state & 0xFF]
        ^ _TABLES[size - 2, state >> 8 & 0xFF]
        ^ _TABLES[size - 3, state >> 16 & 0xFF]
        ^ _TABLES[size - 4, state >> 24]
    )


def _masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)


def framed(data):
    """The bytes of one record."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def is_header(header):
    """Whether the bytes before a record's data are whole and unharmed."""
    return len(header) == HEADER_BYTES and _masked(header[:8]) == header[8:]


def is_sound(data, footer):
    """Whether a record's data is what its checksum, the bytes after it, says."""
    return _masked(data) == footer


def read(path, max_bytes=2**28):
    """Reads the records of a TFRecord file, compressed (gzip) or not.

    Args:
        path: str or path.
        max_bytes: int. A longer record counts as damage.

    Yields:
        (offset, data): where the record begins in the uncompressed file; bytes.

    Raises:
        InputError: If a record is damaged; the message names the file and offset.
    """
    with open(path, "rb") as raw:
        compressed = raw.read(3) == b"\x1f\x8b\x08"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if compressed else raw
        offset = 0
        while True:
            data = _read_one(file, path, offset, max_bytes)
            if data is None:
                return
            yield offset, data
            offset += HEADER_BYTES + len(data) + FOOTER_BYTES


def _read_one(file, path, offset, max_bytes):
    try:
        header = file.read(HEADER_BYTES)
        if not header:
            return None
        if not is_header(header):
            raise InputError(f"{path}: damaged record at byte {offset} (length).")
        (length,) = struct.unpack("<Q", header[:8])
        if length > max_bytes:
            raise InputError(f"{path}: record at byte {offset} has {length} bytes.")
        data = file.read(length)
        footer = file.read(FOOTER_BYTES)
    except (EOFError, OSError, zlib.error):
        raise InputError(f"{path}: damaged compression near byte {offset}.") from None
    if len(data) < length or not is_sound(data, footer):
        raise InputError(f"{path}: damaged record at byte {offset} (data).")
    return data
