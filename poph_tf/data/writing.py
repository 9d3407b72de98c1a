"""Writes pieces in memory as a data set, one shard per split.

For music that comes with its own splits, such as a benchmark's piano rolls, or that
needs none, such as a single movement. Music files go through `preparation`.
"""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from poph_tf.config import Track
from poph_tf.data import examples
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError

Splits = Mapping[str, Sequence[Matrices]]


def write(
    splits: Splits, style: str, data_dir: str | Path, tracks: Sequence[Track] = ()
) -> examples.DatasetInfo:
    """Writes a data set that training and evaluation read.

    Args:
        splits: the pieces of "train", "valid" and "test".
        style: the style of all pieces.
        data_dir: left alone if it already holds these pieces. It is written atomically;
            of two processes that write it at once, one does.
        tracks: the tracks to write; none writes all of them merged.

    Raises:
        InputError: If it holds other pieces or anything else, or if a piece lacks a
            track.
    """
    ids = "".join(examples.content_id(p, tracks) for ps in splits.values() for p in ps)
    data_id = hashlib.sha256(ids.encode()).hexdigest()
    data_dir = Path(data_dir)
    if not _holds(data_dir, data_id):
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=data_dir.parent, prefix=".writing-")
        with folder as name:
            whole = Path(name, "records")
            _write_all(splits, style, data_id, whole, tracks)
            try:
                whole.rename(data_dir)
            except OSError as error:
                # Another process was quicker, or something else is there.
                if not _holds(data_dir, data_id):
                    raise InputError(
                        f"{data_dir} must be free for records or hold them "
                        f"({error.strerror}): delete it or choose another folder."
                    ) from error
    return examples.read_info(data_dir)


def _holds(data_dir: Path, data_id: str) -> bool:
    if not (data_dir / examples.INFO_NAME).exists():
        return False
    there = examples.read_info(data_dir).id
    if there != data_id:
        raise InputError(
            f"{data_dir} was made from other pieces (its id is {there}, that of these "
            f"is {data_id}): delete it, or choose another name or folder."
        )
    return True


def _write_all(
    splits: Splits,
    style: str,
    data_id: str,
    data_dir: Path,
    tracks: Sequence[Track],
) -> None:
    data_dir.mkdir()
    infos = {
        split: _write_split(split, pieces, style, data_dir, tracks)
        for split, pieces in splits.items()
    }
    version = examples.format_version(tracks)
    info = examples.DatasetInfo(version, data_id, 4, (style,), infos, tuple(tracks))
    examples.write_info(info, data_dir)


def _write_split(
    split: str,
    pieces: Sequence[Matrices],
    style: str,
    data_dir: Path,
    tracks: Sequence[Track],
) -> examples.SplitInfo:
    shard = examples.shard_name(split, 0, 1)
    with tf.io.TFRecordWriter(str(data_dir / shard), "GZIP") as writer:
        for k, piece in enumerate(pieces):
            source = f"{style}/{split}/{k}"
            record = examples.serialize(
                piece, style=style, source=source, tracks=tracks
            )
            writer.write(record)
    num_steps = sum(map(len, pieces))
    return examples.SplitInfo(
        shards=(shard,),
        num_pieces=len(pieces),
        num_steps=num_steps,
        steps_by_style={style: num_steps},
        pieces_by_style={style: len(pieces)},
    )
