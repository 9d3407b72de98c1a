"""Finished chunks on disk, so that a run that was killed goes on where it was.

A chunk is some dozens of items in the order of the source. Its key hashes the items
themselves, so that a chunk of an earlier run counts only if its files are still the
same. Of each chunk lie here the records (gzip members, one behind another) and a table
of what came of its items; both are complete once the table has its name.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import zlib

import numpy as np

from poph_tf.data.preparation import folders
from poph_tf.data.preparation.conversion import FACTS

MAX_ITEMS = 64
MAX_BYTES = 4_000_000


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Items that are converted together.

    Args:
        key: str. Hash of the items, with their place in the run.
        items: tuple of sources.Item.
    """

    key: str
    items: tuple


def chunks(items):
    """Groups items, in order.

    Args:
        items: iterable of sources.Item.

    Yields:
        Chunk.
    """
    number, held, size = 0, [], 0
    for item in items:
        held.append(item)
        size += item.size()
        if len(held) >= MAX_ITEMS or size >= MAX_BYTES:
            yield _chunk(number, held)
            number, held, size = number + 1, [], 0
    if held:
        yield _chunk(number, held)


def _chunk(number, items):
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr((item.source, item.style, item.reason)).encode())
        digest.update(_content_key(item))
    return Chunk(f"{number:06d}-{digest.hexdigest()[:16]}", tuple(items))


def _content_key(item):
    if item.data is not None:
        return repr((len(item.data), zlib.crc32(item.data))).encode()
    try:
        status = os.stat(item.path) if item.path else None
    except OSError:
        return b"gone"
    return repr(status and (status.st_size, status.st_mtime_ns)).encode()


class Staging:
    """The folder of finished chunks.

    Args:
        output_dir: path. It lies in there.
        key: str. Hash of all that decides what becomes of an item.
    """

    def __init__(self, output_dir, key):
        self.folder = pathlib.Path(output_dir) / folders.UNFINISHED
        self._key = key

    def begin(self):
        """Makes the folder; what another key left there is removed."""
        note = self.folder / "run.json"
        try:
            same = json.loads(note.read_text("utf-8"))["key"] == self._key
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            self.remove()
        self.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"key": self._key}), "utf-8")

    def has(self, key):
        """Whether a chunk is finished."""
        return self._table(key).is_file()

    def write(self, key, converted):
        """Stores a finished chunk (list of Converted), from any process."""
        records = b"".join(c.record for c in converted if c.record is not None)
        facts = [c.facts for c in converted if c.record is not None]
        texts = {
            "pieces": [[c.source, c.style] for c in converted if c.record is not None],
            "rejects": [[c.source, c.reason] for c in converted if c.record is None],
        }
        table = np.array(facts, FACTS)
        text = json.dumps(texts, ensure_ascii=False).encode()
        self._put(self.records(key), records)
        self._put(
            self._table(key), _head(len(text), len(table)) + text + table.tobytes()
        )

    def read(self, key):
        """Reads a chunk's table.

        Returns:
            list of (source, style) of its pieces, list of (source, reason) of its
            rejects, FACTS [piece].
        """
        data = self._table(key).read_bytes()
        text_bytes, rows = np.frombuffer(data[:16], "<i8")
        texts = json.loads(data[16 : 16 + text_bytes])
        facts = np.frombuffer(data, FACTS, rows, 16 + text_bytes)
        return texts["pieces"], texts["rejects"], facts

    def keys(self):
        """Keys of all finished chunks, in the order of the source."""
        return sorted(path.stem for path in self.folder.glob("*.table"))

    def records(self, key):
        """Path of a chunk's records."""
        return self.folder / f"{key}.records"

    def remove(self):
        """Removes the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _table(self, key):
        return self.folder / f"{key}.table"

    def _put(self, path, data):
        # An orphan of a killed run may write the same chunk: names must differ.
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_bytes(data)
        os.replace(partial, path)


def _head(*numbers):
    return np.array(numbers, "<i8").tobytes()
