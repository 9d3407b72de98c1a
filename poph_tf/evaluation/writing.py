"""Writes pieces that are in memory as a data set, one shard a split.

For music that comes with splits of its own, or is to have them: a benchmark's rolls, a
single movement. Files of music go through `preparation`.
"""

import hashlib
import os
import tempfile

import tensorflow as tf

from poph_tf.data import examples
from poph_tf.errors import InputError


def write(splits, style, data_dir):
    """Writes a data set that training and evaluation read.

    Args:
        splits: dict from "train", "valid", "test" to a list of Matrices.
        style: str, of all pieces.
        data_dir: str. Nothing is done where it already holds these pieces. It appears
            whole or not at all; of two that write it at once, one does.

    Returns:
        DatasetInfo.

    Raises:
        InputError: If it holds other pieces, or other things.
    """
    ids = "".join(examples.content_id(p) for ps in splits.values() for p in ps)
    data_id = hashlib.sha256(ids.encode()).hexdigest()
    if not _holds(data_dir, data_id):
        parent = os.path.dirname(os.path.abspath(data_dir))
        os.makedirs(parent, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as folder:
            whole = os.path.join(folder, "records")
            _write_all(splits, style, data_id, whole)
            try:
                os.rename(whole, data_dir)
            except OSError as error:
                # Another process was quicker, or something else lies there.
                if not _holds(data_dir, data_id):
                    raise InputError(
                        f"{data_dir} must be free for records or hold them "
                        f"({error.strerror}): delete it or choose another folder."
                    ) from error
    return examples.read_info(data_dir)


def _holds(data_dir, data_id):
    if not os.path.exists(os.path.join(data_dir, examples.INFO_NAME)):
        return False
    there = examples.read_info(data_dir).id
    if there != data_id:
        raise InputError(
            f"{data_dir} was made from other pieces (its id is {there}, that of these "
            f"is {data_id}): delete it, or choose another name or folder."
        )
    return True


def _write_all(splits, style, data_id, data_dir):
    os.makedirs(data_dir)
    infos = {
        split: _write_split(split, pieces, style, data_dir)
        for split, pieces in splits.items()
    }
    info = examples.DatasetInfo(
        format_version=examples.FORMAT_VERSION,
        id=data_id,
        steps_per_quarter=4,
        styles=(style,),
        splits=infos,
    )
    examples.write_info(info, data_dir)


def _write_split(split, pieces, style, data_dir):
    shard = examples.shard_name(split, 0, 1)
    with tf.io.TFRecordWriter(os.path.join(data_dir, shard), "GZIP") as writer:
        for k, piece in enumerate(pieces):
            source = f"{style}/{split}/{k}"
            writer.write(examples.serialize(piece, style=style, source=source))
    num_steps = sum(len(piece.cells) for piece in pieces)
    return examples.SplitInfo(
        shards=(shard,),
        num_pieces=len(pieces),
        num_steps=num_steps,
        steps_by_style={style: num_steps},
        pieces_by_style={style: len(pieces)},
    )
