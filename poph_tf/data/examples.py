"""Pieces as tf.train.Example records, and the folder that holds a data set.

A record holds a whole piece with all 128 pitches. Its features:

    play, replay        bytes: bits of [time, pitch], eight pitches a byte, first high
    volume              bytes: one for each sounding cell, by step, then by pitch
    bar_position        bytes: one for each step
    length              int64: steps
    steps_per_quarter   int64
    tempo_qpm           float
    time_signatures     int64: step, numerator, denominator of each, in one row
    style, source, id   bytes: UTF-8 text; id is the SHA-256 of the musical content

Records are written and read here without TensorFlow, which only `parse` needs: the
workers that prepare data start in a moment and stay small. The same piece always gives
the same bytes.

A data set is a folder of shards `train-00000-of-00004.tfrecord.gz` and, beside them,
`dataset_info.json`.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import struct

import numpy as np

from poph_tf.data import example_wire, quantization
from poph_tf.data.matrices import NUM_PITCHES, PLAY, REPLAY, VOLUME, Matrices
from poph_tf.errors import InputError

FORMAT_VERSION = 1
INFO_NAME = "dataset_info.json"
SPLITS = ("train", "valid", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """A record, decoded.

    Args:
        matrices: Matrices.
        style: str.
        source: str. Where it came from, relative to the input.
        id: str. SHA-256 of the musical content, 64 hexadecimal digits.
    """

    matrices: Matrices
    style: str
    source: str
    id: str


def content_id(matrices):
    """SHA-256 of cells, bar positions, tempo and grid, as 64 hexadecimal digits."""
    return _content_id(matrices, *_packed(matrices.cells))


def _content_id(piece, play, replay, volume):
    digest = hashlib.sha256(b"poph_tf piece 1")
    head = (len(piece), piece.steps_per_quarter, piece.tempo_qpm)
    digest.update(struct.pack("<qqd", *head))
    for part in (play, replay, volume, piece.bar_position.tobytes()):
        digest.update(part)
    return digest.hexdigest()


def _packed(cells):
    """play, replay, volume as the bytes of a record."""
    return quantization.packed_planes(*(cells[..., k] for k in (PLAY, REPLAY, VOLUME)))


def serialize(matrices, *, style, source):
    """Writes a piece as a tf.train.Example.

    Args:
        matrices: Matrices, canonical.
        style, source: str.

    Returns:
        bytes, always the same for the same piece.
    """
    return _encode(matrices, _packed(matrices.cells), style, source)[0]


def encode(placed, *, style, source, compiled=False):
    """Writes a piece whose notes lie on the grid, without making matrices of it.

    Args:
        placed: placing.Placed.
        style, source: str.
        compiled: bool. Use machine code: worth its start for many files.

    Returns:
        (bytes as of `serialize`, id).
    """
    packed = quantization.pack(placed, compiled=compiled)
    return _encode(placed, packed, style, source)


def _encode(piece, packed, style, source):
    play, replay, volume = packed
    piece_id = _content_id(piece, *packed)
    record = example_wire.encode(
        {
            "bar_position": piece.bar_position.tobytes(),
            "id": piece_id.encode(),
            "length": [len(piece)],
            "play": play,
            "replay": replay,
            "source": source.encode("utf-8", "surrogateescape"),
            "steps_per_quarter": [piece.steps_per_quarter],
            "style": style.encode("utf-8", "surrogateescape"),
            "tempo_qpm": piece.tempo_qpm,
            "time_signatures": [n for row in piece.time_signatures for n in row],
            "volume": volume,
        }
    )
    return record, piece_id


def deserialize(serialized):
    """Reads what `serialize` wrote.

    Args:
        serialized: bytes.

    Returns:
        Piece.

    Raises:
        InputError: If they are not such a record.
    """
    try:
        features = example_wire.decode(serialized)
        (length,) = features["length"]
        if len(features["play"]) != length * NUM_PITCHES // 8:
            raise ValueError("play does not have length steps")
        cells = np.zeros((length, NUM_PITCHES, 3), np.uint8)
        cells[..., PLAY] = _unpacked(features["play"], length)
        cells[..., REPLAY] = _unpacked(features["replay"], length)
        sounding = cells[..., PLAY] != 0
        cells[..., VOLUME][sounding] = np.frombuffer(features["volume"], np.uint8)
        bar_position = np.frombuffer(features["bar_position"], np.uint8)
        rows = np.array(features["time_signatures"], np.int64).reshape(-1, 3)
        matrices = Matrices(
            cells=cells,
            bar_position=bar_position,
            # Stored as float32; a tempo has three decimals.
            tempo_qpm=round(features["tempo_qpm"], 3),
            steps_per_quarter=features["steps_per_quarter"][0],
            time_signatures=tuple(tuple(row) for row in rows.tolist()),
        )
        texts = [_text(features[name]) for name in ("style", "source", "id")]
    except (LookupError, ValueError, TypeError, struct.error) as error:
        raise InputError(f"Not a record of poph_tf: {error!r}.") from None
    return Piece(matrices, *texts)


def _text(data):
    return data.decode("utf-8", "surrogateescape")


def _unpacked(data, length):
    packed = np.frombuffer(data, np.uint8).reshape(length, NUM_PITCHES // 8)
    return np.unpackbits(packed, axis=-1)


def parse(serialized):
    """Decodes a record in a TensorFlow graph.

    Args:
        serialized: tf.string scalar.

    Returns:
        dict: `cells` uint8 [time, 128, 3], `bar_position` uint8 [time], `length`
        int32, `tempo_qpm` float32, `style`, `id`, `source` string scalars.
    """
    import tensorflow as tf

    texts = ("play", "replay", "volume", "bar_position", "style", "id", "source")
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in texts}
    features["length"] = tf.io.FixedLenFeature([], tf.int64)
    features["tempo_qpm"] = tf.io.FixedLenFeature([], tf.float32)
    parsed = tf.io.parse_single_example(serialized, features)
    # A table of 256 rows of eight bits is quicker than shifting each bit down.
    bits = tf.constant(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1))

    def unpacked(name):
        octets = tf.cast(tf.io.decode_raw(parsed[name], tf.uint8), tf.int32)
        return tf.reshape(tf.gather(bits, octets), [-1, NUM_PITCHES])

    play = unpacked("play")
    volumes = tf.io.decode_raw(parsed["volume"], tf.uint8)
    places = tf.where(tf.reshape(play, [-1]) > 0)
    size = tf.size(play, out_type=tf.int64)
    volume = tf.scatter_nd(places, volumes, size[None])
    volume = tf.reshape(volume, [-1, NUM_PITCHES])
    return {
        "cells": tf.stack([play, unpacked("replay"), volume], axis=-1),
        "bar_position": tf.io.decode_raw(parsed["bar_position"], tf.uint8),
        "length": tf.cast(parsed["length"], tf.int32),
        "tempo_qpm": parsed["tempo_qpm"],
        "style": parsed["style"],
        "id": parsed["id"],
        "source": parsed["source"],
    }


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """One split of a data set.

    Args:
        shards: tuple of str. File names.
        num_pieces, num_steps: int.
        steps_by_style: dict from style to steps.
        pieces_by_style: dict from style to pieces.
    """

    shards: tuple
    num_pieces: int
    num_steps: int
    steps_by_style: dict
    pieces_by_style: dict


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What `dataset_info.json` says.

    Args:
        format_version: int.
        id: str. Hash of the records; the same for the same data set.
        steps_per_quarter: int.
        styles: tuple of str, sorted.
        splits: dict from "train", "valid", "test" to SplitInfo.
        rejects: dict from reason to number of files.
        num_duplicates: int. Pieces left out because another has the same content.
        num_twins: int. Pieces that share their fingerprint with an earlier one.
        grid_error: float. Mean distance of onsets to the grid as the pieces were put
            on it, steps; onsets anywhere give 0.25.
        settings: dict. How it was made.
        provenance: dict. Versions and the like.
    """

    format_version: int
    id: str
    steps_per_quarter: int
    styles: tuple
    splits: dict
    rejects: dict = dataclasses.field(default_factory=dict)
    num_duplicates: int = 0
    num_twins: int = 0
    grid_error: float = 0.0
    settings: dict = dataclasses.field(default_factory=dict)
    provenance: dict = dataclasses.field(default_factory=dict)


def shard_name(split, index, count):
    """The file name of a shard."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord.gz"


def write_info(info, data_dir):
    """Writes `dataset_info.json`, whole or not at all."""
    path = pathlib.Path(data_dir) / INFO_NAME
    partial = path.with_suffix(".partial")
    text = json.dumps(dataclasses.asdict(info), indent=2, ensure_ascii=False)
    partial.write_text(text + "\n", "utf-8")
    os.replace(partial, path)


def read_info(data_dir):
    """Reads `dataset_info.json`.

    Args:
        data_dir: str or path.

    Returns:
        DatasetInfo.

    Raises:
        InputError: If there is no data set of this version of the format there.
    """
    folder = pathlib.Path(data_dir)
    if not folder.is_dir():
        raise InputError(
            f"No folder {data_dir}; make one with tools/make_tfrecords.py."
        )
    path = folder / INFO_NAME
    if not path.is_file():
        raise InputError(
            f"{data_dir} holds no data set ({INFO_NAME} is missing); make one with "
            "tools/make_tfrecords.py."
        )
    try:
        table = json.loads(path.read_text("utf-8"))
        version = table["format_version"]
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"{path} is damaged; make the data set again.") from None
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {version}, this program reads "
            f"{FORMAT_VERSION}; make the data set again with tools/make_tfrecords.py."
        )
    try:
        return _info(table)
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is damaged; make the data set again.") from None


def _info(table):
    splits = {
        name: SplitInfo(**{**split, "shards": tuple(split["shards"])})
        for name, split in table["splits"].items()
    }
    return DatasetInfo(**{**table, "styles": tuple(table["styles"]), "splits": splits})


def shard_paths(data_dir, split):
    """Paths of a split's shards, in order.

    Raises:
        InputError: If there is no such data set or split, or a shard is missing.
    """
    info = read_info(data_dir)
    if split not in info.splits:
        known = ", ".join(info.splits)
        raise InputError(f"{data_dir} has no split {split!r}; it has {known}.")
    paths = [pathlib.Path(data_dir) / name for name in info.splits[split].shards]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path} is missing; make the data set again.")
    return [str(path) for path in paths]
