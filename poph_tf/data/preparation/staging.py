"""Keeps finished chunks on disk, so that a killed run can continue from there.

A chunk is a few dozen items in the order of the source. Its key hashes the items
themselves: a chunk of an earlier run counts only if its files are still the same. The
folder's key hashes the settings and the code: what other settings or another version
of the code left there is removed.

A chunk's file holds four parts, one after another: the names as JSON text, the
statistics of the pieces, their sketches (all as numpy arrays) and their records.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from poph_tf import files
from poph_tf.data.preparation import dependencies, sources
from poph_tf.data.preparation.conversion import STATISTICS, Converted
from poph_tf.errors import InputError

MAX_ITEMS = 64
MAX_BYTES = 4_000_000
_SUFFIX = ".chunk"


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Items that are converted together.

    Attributes:
        key: number of the chunk in the run, and a hash of its items.
        items: the items, in the order of the source.
    """

    key: str
    items: tuple[sources.Item, ...]


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The pieces of finished chunks, in the order of the source, and the rejects.

    Attributes:
        sources: names [piece].
        styles: names of styles [piece].
        statistics: STATISTICS [piece].
        sketches: uint32 [passage] of each piece.
        paths: the file of the record [piece].
        offset: int64 [piece], byte offset of the record in its file.
        rejects: (source, reason) of each.
        repairs: (source, kind) of each repair to the files of the pieces.
        score_seconds: how long the conversion of scores took.
        picture: name and picture of the first piece whose beats were found.
    """

    sources: list[str]
    styles: list[str]
    statistics: np.ndarray
    sketches: list[np.ndarray]
    paths: list[pathlib.Path]
    offset: np.ndarray
    rejects: list[tuple[str, str]]
    repairs: list[tuple[str, str]]
    score_seconds: float = 0.0
    picture: tuple[str, str] = ("", "")

    def hashes(self, column: str, chosen: np.ndarray | slice) -> list[bytes]:
        """The hashes in a column of the statistics, of the pieces chosen."""
        return [row.tobytes() for row in self.statistics[column][chosen]]


def chunks(items: Iterable[sources.Item]) -> Iterator[Chunk]:
    """Groups items into chunks, in order."""
    number, held, size = 0, [], 0
    for item in items:
        held.append(item)
        size += len(item.data or b"") + 200
        is_part = item.part[1] > 1  # Part of a large book: seconds of work.
        if is_part or len(held) >= MAX_ITEMS or size >= MAX_BYTES:
            yield _chunk(number, held)
            number, held, size = number + 1, [], 0
    if held:
        yield _chunk(number, held)


def _chunk(number: int, items: Sequence[sources.Item]) -> Chunk:
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr((item.source, item.style, item.reason, item.part)).encode())
        digest.update(repr(_content_key(item)).encode())
    return Chunk(f"{number:06d}-{digest.hexdigest()[:16]}", tuple(items))


def _content_key(item: sources.Item) -> tuple[int, int] | None:
    """What identifies the content of an item, without reading a file."""
    if item.data is not None:
        return len(item.data), zlib.crc32(item.data)
    try:
        status = item.path.stat() if item.path else None
    except OSError:
        return None
    return status and (status.st_size, status.st_mtime_ns)


class Staging:
    """The folder of finished chunks, inside the output folder.

    Args:
        output_dir: the folder of the data set.
        settings_key: hash of the settings and of what they refer to.
    """

    def __init__(self, output_dir: pathlib.Path, settings_key: str) -> None:
        self.folder = output_dir / sources.UNFINISHED
        self._key = settings_key + dependencies.digest(__name__)

    def begin(self) -> None:
        """Makes the folder; removes it first if it has another key.

        Raises:
            InputError: If it cannot be written.
        """
        note = self.folder / "run.json"
        try:
            same = json.loads(note.read_text("utf-8"))["key"] == self._key
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            self.remove()
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_json(note, {"key": self._key})

    def has(self, key: str) -> bool:
        """Whether a chunk is finished."""
        return self._path(key).is_file()

    def write(self, key: str, converted: Sequence[Converted]) -> None:
        """Stores a finished chunk.

        Raises:
            InputError: If it cannot be written.
        """
        pieces = [c for c in converted if c.record is not None]
        texts = {
            "pieces": [[c.source, c.style] for c in pieces],
            "rejects": [[c.source, c.reason] for c in converted if c.record is None],
            "repairs": [[c.source, kind] for c in pieces for kind in c.repairs],
            "score_seconds": sum(c.score_seconds for c in converted),
            "pictures": [[c.source, c.picture] for c in pieces if c.picture][:1],
        }
        text = json.dumps(texts, ensure_ascii=False).encode()
        with (
            self._writing(),
            files.replacing(self._path(key)) as partial,
            partial.open("wb") as file,
        ):
            np.save(file, np.frombuffer(text, np.uint8))
            np.save(file, np.array([c.statistics for c in pieces], STATISTICS))
            sketches = [c.sketch for c in pieces if c.sketch is not None]
            np.save(file, np.concatenate([*sketches, np.zeros(0, np.uint32)]))
            file.writelines(c.record for c in pieces if c.record is not None)

    def keys(self) -> list[str]:
        """Keys of all finished chunks, in the order of the source."""
        return sorted(path.stem for path in self.folder.glob(f"*{_SUFFIX}"))

    def read(self, keys: Iterable[str]) -> Pieces:
        """The pieces and rejects of chunks, without the records."""
        pieces, rejects, repairs, paths = [], [], [], []
        score_seconds, pictures = 0.0, []
        sketches: list[np.ndarray] = []
        statistics, offsets = [np.zeros(0, STATISTICS)], [np.zeros(0, np.int64)]
        for path in map(self._path, keys):
            with path.open("rb") as file:
                texts = json.loads(np.load(file).tobytes())
                statistics.append(np.load(file))
                size, ends = statistics[-1]["size"], statistics[-1]["sketched"].cumsum()
                sketches += np.split(np.load(file), ends)[:-1]
                offsets.append(file.tell() + np.cumsum(size) - size)
            pieces += texts["pieces"]
            rejects += [(source, reason) for source, reason in texts["rejects"]]
            repairs += [(source, kind) for source, kind in texts["repairs"]]
            score_seconds += texts["score_seconds"]
            pictures += texts["pictures"]
            paths += [path] * len(size)
        interned: dict[str, str] = {}
        return Pieces(
            sources=[source for source, _ in pieces],
            styles=[interned.setdefault(style, style) for _, style in pieces],
            statistics=np.concatenate(statistics),
            sketches=sketches,
            paths=paths,
            offset=np.concatenate(offsets),
            rejects=rejects,
            repairs=repairs,
            score_seconds=score_seconds,
            picture=tuple(pictures[0]) if pictures else ("", ""),
        )

    def remove(self) -> None:
        """Removes the folder and everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = self.folder.parent
            raise InputError(f"Cannot write to {folder}: {error.strerror}.") from None

    def _path(self, key: str) -> pathlib.Path:
        return self.folder / f"{key}{_SUFFIX}"
