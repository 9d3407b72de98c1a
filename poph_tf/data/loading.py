"""Opens a data set as tf.data, like `tensorflow_datasets.load`.

Splits are named as there: "train", "train+valid", "train[:10%]", "test[5:20]"; shares
are rounded to whole pieces. Elements are whole pieces, in the order of the shards.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from poph_tf.data import examples
from poph_tf.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_PLACE = r"(-?\d+%?)?"
_PART = re.compile(rf"\s*(\w+)\s*(?:\[{_PLACE}:{_PLACE}\])?\s*")


def load(
    folder: str | Path, split: str | None = None, batch_size: int | None = None
) -> "tf.data.Dataset | dict[str, tf.data.Dataset]":
    """Opens a data set that tools/make_tfrecords.py made.

    Args:
        folder: the folder of the data set.
        split: such as "train[:10%]+valid"; None for a dict of all splits.
        batch_size: pieces per batch, shorter ones padded with zeros (`length` gives
            their own lengths); None gives single pieces.

    Returns:
        Dicts of `cells` uint8 [time, 128, 3] (or [time, track, 128, 3], with the tracks
        named in `dataset_info.json`; channels play, replay, volume),
        `bar_position` uint8 [time], `length` int32, `tempo_qpm` float32, `style`, `id`
        and `source` strings; the number of pieces is known (`cardinality`).

    Raises:
        InputError: If there is no such data set or split.
    """
    info = examples.read_info(folder)
    if split is None:
        return {name: _open(folder, info, name, batch_size) for name in info.splits}
    return _open(folder, info, split, batch_size)


def _open(
    folder: str | Path, info: examples.DatasetInfo, split: str, batch_size: int | None
) -> "tf.data.Dataset":
    import tensorflow as tf

    from poph_tf.data import record_graph

    parts = [_part(folder, info, part) for part in split.split("+")]
    records = parts[0]
    for part in parts[1:]:
        records = records.concatenate(part)
    pieces = records.map(
        lambda record: record_graph.parse(record, info.tracks),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    if batch_size:
        pieces = pieces.padded_batch(batch_size)
    return pieces.prefetch(tf.data.AUTOTUNE)


def _part(
    folder: str | Path, info: examples.DatasetInfo, part: str
) -> "tf.data.Dataset":
    import tensorflow as tf

    found = _PART.fullmatch(part)
    if not found:
        raise InputError(
            f"split must be like train, train[:10%] or train+valid, got {part!r}."
        )
    name, low, high = found.groups()
    paths = examples.shard_paths(folder, name)
    count = info.splits[name].num_pieces
    first, last, _ = slice(_place(low, count), _place(high, count)).indices(count)
    size = max(last - first, 0)
    records = tf.data.TFRecordDataset(paths, compression_type="GZIP")
    records = records.skip(first).take(size)
    return records.apply(tf.data.experimental.assert_cardinality(size))


def _place(text: str | None, count: int) -> int | None:
    """A position within a split: a number or a percentage of pieces."""
    if text is None:
        return None
    return round(int(text[:-1]) * count / 100) if text.endswith("%") else int(text)
