"""Writes pieces that are in memory as a data set, one shard a split.

For music that comes with splits of its own, or is to have them: a benchmark's rolls, a
single movement. Files of music go through `preparation`.
"""

import hashlib
import os

import tensorflow as tf

from poph_tf import examples


def write(splits, style, data_dir):
    """Writes a data set that training and evaluation read.

    Args:
        splits: dict from "train", "valid", "test" to a list of Matrices.
        style: str, of all pieces.
        data_dir: str. Nothing is done where it already holds a data set.

    Returns:
        DatasetInfo.
    """
    if os.path.exists(os.path.join(data_dir, examples.INFO_NAME)):
        return examples.read_info(data_dir)
    os.makedirs(data_dir, exist_ok=True)
    infos = {
        split: _write_split(split, pieces, style, data_dir)
        for split, pieces in splits.items()
    }
    ids = "".join(examples.content_id(p) for ps in splits.values() for p in ps)
    info = examples.DatasetInfo(
        format_version=examples.FORMAT_VERSION,
        id=hashlib.sha256(ids.encode()).hexdigest(),
        steps_per_quarter=4,
        styles=(style,),
        splits=infos,
    )
    examples.write_info(info, data_dir)
    return info


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
