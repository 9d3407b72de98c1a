"""Checks a data set against its dataset_info.json before it is used.

A shard that was emptied, cut between two records or overwritten by another is read
without an error. The number of pieces and the id of the data reveal it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from poph_tf.data import example_message, examples, recovery, shards
from poph_tf.errors import InputError

# Split, id, style and source of a piece.
Row = tuple[str, str, str, str]
_REMEDY = "copy or make the data set again"


def data_id(rows: Iterable[Row]) -> str:
    """The id of a data set with these pieces, in any order."""
    digest = hashlib.sha256(f"poph_tf data {examples.FORMAT_VERSION}".encode())
    for row in sorted(rows):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def check(
    info: examples.DatasetInfo, data_dir: str | Path, *, skip_corrupt: bool = False
) -> list[str]:
    """Reads all records of a data set once.

    Args:
        info: what should be there.
        data_dir: where it should be.
        skip_corrupt: report damage instead of raising an error.

    Returns:
        A line for each problem; none without `skip_corrupt`.

    Raises:
        InputError: If a shard is missing, a record is damaged, or the pieces are not
            those of `info`; the message names the shard if it is known.
    """
    rows: list[Row] = []
    faults: list[str] = []
    for split in info.splits:
        found: dict[str, list[Row]] = {}
        for path in examples.shard_paths(data_dir, split):
            found[path] = list(_rows(path, split, skip_corrupt))
            rows += found[path]
        faults += _faults(found, info.splits[split])
    if not faults and info.id not in (data_id(rows), _id_in_order(rows)):
        faults = [
            f"{data_dir} does not hold the pieces of its {examples.INFO_NAME} (its id "
            f"is {info.id[:12]}, that of the records {data_id(rows)[:12]})"
        ]
    if faults and not skip_corrupt:
        raise InputError(f"{faults[0]}: {_REMEDY}.")
    return faults


class DataWatch:
    """Notices when a data set changes during a run that reads it.

    Args:
        info: the data set at the start of the run.
        data_dir: its folder.
        paths: the shards that the run reads.
    """

    def __init__(
        self, info: examples.DatasetInfo, data_dir: str | Path, paths: Iterable[str]
    ) -> None:
        self.info, self.data_dir = info, data_dir
        self._paths = [Path(data_dir, examples.INFO_NAME), *map(Path, paths)]
        self._state = self._now()

    def check(self, *, skip_corrupt: bool = False) -> list[str]:
        """Like the function `check`."""
        return check(self.info, self.data_dir, skip_corrupt=skip_corrupt)

    def check_unchanged(self) -> None:
        """Raises InputError if other data has replaced it; a new copy of it is fine."""
        if (now := self._now()) == self._state:
            return
        found = examples.read_info(self.data_dir).id
        if found != self.info.id:
            raise InputError(
                f"The data set in {self.data_dir} was replaced during the run: its id "
                f"was {self.info.id[:12]} and is {found[:12]}. Put it back, or train "
                "in another --model_dir."
            )
        self.check()
        self._state = now

    def _now(self) -> list[tuple[int, int, int] | None]:
        """State that changes when a file is replaced, written to or removed."""
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _rows(path: str, split: str, skip_corrupt: bool) -> Iterator[Row]:
    records = (
        recovery.records(path)
        if skip_corrupt
        else (record for _, record in shards.read(path))
    )
    for record in records:
        try:
            features = example_message.Example.FromString(record).features.feature
            texts = [
                features[name].bytes_list.value[0].decode("utf-8", "surrogateescape")
                for name in ("id", "style", "source")
            ]
        except Exception as error:
            raise InputError(f"{path} holds a record of another kind.") from error
        yield (split, texts[0], texts[1], texts[2])


def _id_in_order(rows: Iterable[Row]) -> str:
    """The id of data sets that `data/writing.py` makes."""
    return hashlib.sha256("".join(row[1] for row in rows).encode()).hexdigest()


def _faults(found: Mapping[str, list[Row]], split: examples.SplitInfo) -> Iterator[str]:
    """The faults that the counts of a split's shards reveal."""
    num_found = sum(map(len, found.values()))
    if num_found == split.num_pieces:
        seen = Counter(row for rows in found.values() for row in set(rows))
        for path, rows in found.items():
            if rows and all(seen[row] > 1 for row in rows):
                yield f"{path} holds the pieces of another shard"
        return
    for k, (path, rows) in enumerate(found.items()):
        wanted = len(range(k, split.num_pieces, len(found)))
        if len(rows) != wanted:
            yield f"{path} holds {len(rows)} pieces, {wanted} were written"
