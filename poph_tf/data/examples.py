"""Pieces as tf.train.Example records, and the folder that holds a data set.

A record holds a whole piece with all 128 pitches. Its features:

    play, replay        bytes: bits of [time, pitch], eight per byte, high bit first
    volume              bytes: one for each sounding cell, by step, then by pitch
    track_name          bytes: UTF-8 text for each track
    track_program       int64: for each track
    track_is_drum       int64: for each track, 0 or 1
    bar_position        bytes: one for each step
    length              int64: steps
    steps_per_quarter   int64
    tempo_qpm           float
    time_signatures     int64: step, numerator, denominator of each, in one row
    style, source, id   bytes: UTF-8 text; id is the SHA-256 of the musical content

With tracks (format 2), the first three have a value for each track; with merged tracks
(format 1) they have one, and the track features are absent.

Nothing here needs TensorFlow, so that the workers that prepare data start quickly and
stay small; `data/record_graph.py` reads records in a graph. The same piece always gives
the same bytes.

A data set is a folder of shards, such as `train-00000-of-00004.tfrecord.gz`, with
`dataset_info.json` beside them.
"""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from google.protobuf.message import DecodeError

from poph_tf import files
from poph_tf.config.tracks import Track, Tracks
from poph_tf.data import cells as cells_lib
from poph_tf.data import example_message, quantization
from poph_tf.data.cells import PLAY, VOLUME
from poph_tf.data.matrices import NUM_PITCHES, Matrices, TrackCells
from poph_tf.data.quantization import QuantizedNotes
from poph_tf.errors import InputError

# The formats of records with merged tracks, and with separate tracks.
FORMAT_VERSION, TRACKS_VERSION = 1, 2
# play, replay and volume of a track.
Packed = tuple[bytes, bytes, bytes]
INFO_NAME = "dataset_info.json"
SPLITS = ("train", "valid", "test")
_MAKE = "make one with tools/make_tfrecords.py"
_MAKE_AGAIN = "make the data set again with tools/make_tfrecords.py"
# Names that older versions wrote into dataset_info.json.
_RENAMED = {"num_twins": "num_near_duplicates"}


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """A record, decoded.

    Attributes:
        matrices: the piece on the grid.
        style: its style, from the data set's vocabulary.
        source: where it came from, relative to the input.
        id: SHA-256 of the musical content, 64 hexadecimal digits.
    """

    matrices: Matrices
    style: str
    source: str
    id: str

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of the record; none if they are merged."""
        own = self.matrices.tracks
        return tuple(Track(t.name, t.program, t.is_drum) for t in own)


def format_version(tracks: Sequence[Track]) -> int:
    """The format of records with these tracks."""
    return TRACKS_VERSION if tracks else FORMAT_VERSION


def content_id(matrices: Matrices, tracks: Sequence[Track] = ()) -> str:
    """SHA-256 of cells, bar positions, tempo and grid, as 64 hexadecimal digits.

    With tracks, the cells of each count; otherwise those of all merged.
    """
    return _content_id(matrices, _packed(matrices, tracks), tracks)


def _packed(matrices: Matrices, tracks: Sequence[Track]) -> list[Packed]:
    rolls = matrices.stack(tracks) if tracks else matrices.cells[:, None]
    return [quantization.pack_cells(rolls[:, k]) for k in range(rolls.shape[1])]


def _content_id(
    piece: Matrices | QuantizedNotes, packed: Sequence[Packed], tracks: Sequence[Track]
) -> str:
    digest = hashlib.sha256(f"poph_tf piece {format_version(tracks)}".encode())
    head = (len(piece), piece.steps_per_quarter, piece.tempo_qpm)
    digest.update(struct.pack("<qqd", *head))
    for track in tracks:
        digest.update(repr((track.name, track.program, track.is_drum)).encode())
    for part in (*(p for track in packed for p in track), piece.bar_position.tobytes()):
        digest.update(part)
    return digest.hexdigest()


def serialize(
    matrices: Matrices, *, style: str, source: str, tracks: Sequence[Track] = ()
) -> bytes:
    """Writes canonical matrices as a tf.train.Example.

    Args:
        matrices: the piece.
        style: its style.
        source: where it came from.
        tracks: the tracks to write; none writes all of them merged.

    Example:
        >>> cells = np.zeros((4, 128, 3), np.uint8)
        >>> made = Matrices(cells, bar_position=np.arange(4, dtype=np.uint8))
        >>> record = serialize(made, style="bach", source="a.mid")
        >>> deserialize(record).matrices == made
        True

    Returns:
        The bytes, always the same for the same piece.

    Raises:
        InputError: If the piece lacks one of the tracks.
    """
    return _encode(matrices, _packed(matrices, tracks), tracks, style, source)[0]


def encode(
    piece: QuantizedNotes,
    *,
    style: str,
    source: str,
    tracks: Mapping[Track, QuantizedNotes] | None = None,
    compiled: bool = False,
) -> tuple[bytes, str]:
    """Writes a quantized piece without making matrices.

    Args:
        piece: the notes on the grid.
        style: its style.
        source: where it came from.
        tracks: the notes of each track to write, each as long as the piece; None writes
            the piece itself, all tracks merged.
        compiled: use machine code, which pays off for many files.

    Returns:
        The bytes that `serialize` gives for the same piece, and its id.
    """
    rolls = tracks.values() if tracks else [piece]
    packed = [quantization.pack(roll, compiled=compiled) for roll in rolls]
    return _encode(piece, packed, tuple(tracks or ()), style, source)


def _encode(
    piece: Matrices | QuantizedNotes,
    packed: Sequence[Packed],
    tracks: Sequence[Track],
    style: str,
    source: str,
) -> tuple[bytes, str]:
    piece_id = _content_id(piece, packed, tracks)
    message = example_message.Example()
    features = message.features.feature
    octets = dict(zip(cells_lib.CHANNELS, zip(*packed, strict=True), strict=True))
    octets["bar_position"] = (piece.bar_position.tobytes(),)
    for name, text in (("id", piece_id), ("source", source), ("style", style)):
        octets[name] = (text.encode("utf-8", "surrogateescape"),)
    if tracks:
        octets["track_name"] = tuple(track.name.encode() for track in tracks)
        for name in ("program", "is_drum"):
            numbers = [int(getattr(track, name)) for track in tracks]
            features[f"track_{name}"].int64_list.value.extend(numbers)
    for name, data in octets.items():
        features[name].bytes_list.value.extend(data)
    features["tempo_qpm"].float_list.value.append(piece.tempo_qpm)
    features["length"].int64_list.value.append(len(piece))
    features["steps_per_quarter"].int64_list.value.append(piece.steps_per_quarter)
    # The feature exists even if it is empty.
    signatures = features["time_signatures"].int64_list
    signatures.value.extend(n for row in piece.time_signatures for n in row)
    signatures.SetInParent()
    return message.SerializeToString(deterministic=True), piece_id


def deserialize(serialized: bytes) -> Piece:
    """Reads what `serialize` wrote.

    Raises:
        InputError: If the bytes are not such a record.
    """
    try:
        message = example_message.Example.FromString(serialized)
        features = message.features.feature
        octets = {name: features[name].bytes_list.value for name in _OCTETS}
        texts = {name: features[name].bytes_list.value[0] for name in _TEXTS}
        numbers = {name: features[name].int64_list.value for name in _NUMBERS}
        signatures = np.array(numbers["time_signatures"], np.int64).reshape(-1, 3)
        rolls = _rolls(octets, numbers["length"][0])
        tracks = _tracks(features, rolls)
        matrices = Matrices(
            cells=cells_lib.merged(np.stack(rolls, 1)) if tracks else rolls[0],
            bar_position=np.frombuffer(octets["bar_position"][0], np.uint8),
            # Stored as float32; a tempo has three decimals.
            tempo_qpm=round(features["tempo_qpm"].float_list.value[0], 3),
            steps_per_quarter=numbers["steps_per_quarter"][0],
            time_signatures=tuple((step, n, d) for step, n, d in signatures.tolist()),
            tracks=tracks,
        )
        decoded = [data.decode("utf-8", "surrogateescape") for data in texts.values()]
    except (DecodeError, LookupError, ValueError, TypeError) as error:
        raise InputError(f"Not a record of poph_tf: {error!r}.") from None
    return Piece(matrices, *decoded)


_OCTETS = ("play", "replay", "volume", "bar_position")
_TEXTS = ("style", "source", "id")
_NUMBERS = ("length", "steps_per_quarter", "time_signatures")


def _rolls(octets: Mapping[str, Sequence[bytes]], length: int) -> list[np.ndarray]:
    """uint8 [time, 128, 3] for each track."""
    rolls = []
    columns = [octets[name] for name in cells_lib.CHANNELS]
    for *bits, volume in zip(*columns, strict=True):
        cells = np.zeros((length, NUM_PITCHES, 3), np.uint8)
        for channel, data in enumerate(bits):
            rows = np.frombuffer(data, np.uint8).reshape(length, NUM_PITCHES // 8)
            cells[..., channel] = np.unpackbits(rows, axis=-1)
        cells[..., VOLUME][cells[..., PLAY] != 0] = np.frombuffer(volume, np.uint8)
        rolls.append(cells)
    return rolls


def _tracks(features: Any, rolls: Sequence[np.ndarray]) -> tuple[TrackCells, ...]:
    if "track_name" not in features:
        return ()
    rows = zip(
        features["track_name"].bytes_list.value,
        features["track_program"].int64_list.value,
        features["track_is_drum"].int64_list.value,
        rolls,
        strict=True,
    )
    return tuple(
        TrackCells(name.decode(), program, bool(is_drum), cells)
        for name, program, is_drum, cells in rows
    )


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """One split of a data set.

    Attributes:
        shards: file names.
        num_pieces: number of pieces.
        num_steps: total number of steps.
        steps_by_style: steps of each style.
        pieces_by_style: pieces of each style.
    """

    __pydantic_config__ = pydantic.ConfigDict(extra="forbid")

    shards: tuple[str, ...]
    num_pieces: int
    num_steps: int
    steps_by_style: dict[str, int]
    pieces_by_style: dict[str, int]


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """The content of `dataset_info.json`.

    Attributes:
        format_version: version of the record format.
        id: hash of the records; the same for the same data set.
        steps_per_quarter: steps in a quarter note.
        styles: the style vocabulary, sorted.
        splits: "train", "valid" and "test".
        tracks: the tracks of every piece, in order; none if they are merged.
        rejects: number of files rejected for each reason.
        repairs: number of pieces whose files had each kind of damage repaired.
        num_duplicates: pieces left out because another has the same content.
        num_near_duplicates: pieces that are the same composition as an earlier one.
        num_leaked: validation and test pieces that are the same composition as a
            training piece.
        split_by_time: whether there were too few pieces to distribute: each is cut into
            a part for each split.
        grid_error: mean distance of onsets from the grid before quantization, in steps;
            random onsets give 0.25.
        settings: how the data set was made.
        provenance: versions of the programs.
    """

    __pydantic_config__ = pydantic.ConfigDict(extra="forbid")

    format_version: int
    id: str
    steps_per_quarter: int
    styles: tuple[str, ...]
    splits: dict[str, SplitInfo]
    tracks: Tracks = ()
    rejects: dict[str, int] = dataclasses.field(default_factory=dict)
    repairs: dict[str, int] = dataclasses.field(default_factory=dict)
    num_duplicates: int = 0
    num_near_duplicates: int = 0
    num_leaked: int = 0
    split_by_time: bool = False
    grid_error: float = 0.0
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DatasetInfo":
        """Builds the info from the result of `dataclasses.asdict`; accepts old names.

        Raises:
            ValueError: If a field is missing, unknown or of the wrong type.
        """
        values = {_RENAMED.get(name, name): value for name, value in values.items()}
        return pydantic.TypeAdapter(cls).validate_python(values)


def shard_name(split: str, index: int, count: int) -> str:
    """The file name of a shard.

    Example:
        >>> shard_name("train", 0, 4)
        'train-00000-of-00004.tfrecord.gz'
    """
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord.gz"


def write_info(info: DatasetInfo, data_dir: str | Path) -> None:
    """Writes `dataset_info.json` atomically."""
    text = json.dumps(dataclasses.asdict(info), indent=2, ensure_ascii=False)
    files.write(Path(data_dir) / INFO_NAME, text + "\n")


def read_info(data_dir: str | Path) -> DatasetInfo:
    """Reads `dataset_info.json`.

    Raises:
        InputError: If the folder holds no data set of this version of the format.
    """
    path = Path(data_dir) / INFO_NAME
    if not path.parent.is_dir():
        raise InputError(f"No folder {data_dir}; {_MAKE}.")
    if not path.is_file():
        raise InputError(
            f"{data_dir} holds no data set ({INFO_NAME} is missing); {_MAKE}."
        )
    try:
        table = json.loads(path.read_text("utf-8"))
        version = table["format_version"]
        if version in (FORMAT_VERSION, TRACKS_VERSION):
            return DatasetInfo.from_dict(table)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise InputError(f"{path} is damaged; {_MAKE_AGAIN}.") from None
    raise InputError(
        f"{path} has format version {version}, this program reads {FORMAT_VERSION} "
        f"and {TRACKS_VERSION}; {_MAKE_AGAIN}."
    )


def shard_paths(data_dir: str | Path, split: str) -> list[str]:
    """Paths of a split's shards, in order.

    Raises:
        InputError: If there is no such data set or split, or a shard is missing.
    """
    info = read_info(data_dir)
    if split not in info.splits:
        known = ", ".join(info.splits)
        raise InputError(f"{data_dir} has no split {split!r}; it has {known}.")
    paths = [Path(data_dir) / name for name in info.splits[split].shards]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path} is missing; {_MAKE_AGAIN}.")
    return [str(path) for path in paths]
