"""Splits by windows of time, for collections with fewer compositions than splits.

Each piece is cut at bar lines: training gets its beginning, validation and test what
follows. A part is a piece of its own; a note that sounds across a cut begins again.
"""

import dataclasses
import gzip
from collections.abc import Iterator, Sequence

import numpy as np

from poph_tf.data import bars, cells, editing, examples, shards
from poph_tf.data.matrices import Matrices
from poph_tf.data.preparation import alignment, conversion, splits
from poph_tf.data.preparation.conversion import Converted
from poph_tf.data.preparation.staging import Pieces, Staging
from poph_tf.data.quantization import QuantizedNotes

_CHUNK = "windows"


def cut(
    pieces: Pieces, kept: np.ndarray, fractions: Sequence[float], store: Staging
) -> tuple[Pieces, np.ndarray, np.ndarray]:
    """Cuts pieces into a part for each split.

    Args:
        pieces: all pieces.
        kept: int64 [kept], those to cut.
        fractions: shares of training, validation and test.
        store: gets the parts.

    Returns:
        The parts; int64 [part], the indices of them all; object [part], their splits.
    """
    parts, where = [], []
    for k in kept.tolist():
        framed = gzip.decompress(splits.record(pieces, k))
        body = framed[shards.HEADER_BYTES : -shards.FOOTER_BYTES]
        piece = examples.deserialize(body)
        for split, steps in _parts(piece.matrices, fractions):
            parts.append(_part(piece, split, steps, pieces.statistics[k]))
            where.append(split)
    store.write(_CHUNK, parts)
    made = dataclasses.replace(
        store.read([_CHUNK]),
        rejects=pieces.rejects,
        repairs=pieces.repairs,
        score_seconds=pieces.score_seconds,
        picture=pieces.picture,
    )
    return made, np.arange(len(parts)), np.array(where, object)


def _parts(piece: Matrices, fractions: Sequence[float]) -> Iterator[tuple[str, slice]]:
    """Splits and their steps; a piece with too few bars is for training only."""
    rows = zip(examples.SPLITS, fractions, strict=True)
    wanted = {split: share for split, share in rows if share > 0}
    lines = bars.bar_edges(piece.bar_position)
    if len(lines) <= len(wanted):
        wanted = {examples.SPLITS[0]: 1.0}
    ends = len(piece) * np.cumsum([*wanted.values()]) / sum(wanted.values())
    nearest = np.abs(lines[:, None] - ends).argmin(axis=0)
    # Each has at least one bar and leaves one for each that follows.
    places = np.arange(1, len(wanted) + 1)
    nearest = np.clip(nearest, places, len(lines) - 1 - places[::-1] + 1)
    nearest = np.maximum.accumulate(nearest - places) + places
    edges = [0, *lines[nearest].tolist()]
    yield from zip(wanted, map(slice, edges, edges[1:]), strict=True)


def _part(piece: examples.Piece, split: str, steps: slice, whole: np.void) -> Converted:
    """A record of some steps of a piece, with its statistics."""
    matrices = editing.between(piece.matrices, steps.start, steps.stop)
    source = f"{piece.source}#{split}"
    record = examples.serialize(
        matrices, style=piece.style, source=source, tracks=piece.tracks
    )
    errors = alignment.Alignment(whole["grid_error"], whole["aligned_error"])
    statistics = conversion.measure(_quantized(matrices), errors)
    piece_id = examples.content_id(matrices, piece.tracks)
    return conversion.finish(source, piece.style, record, piece_id, statistics)


def _quantized(piece: Matrices) -> QuantizedNotes:
    start, end, pitch, velocity = cells.spans(piece.cells)
    order = np.lexsort((start, pitch))
    return QuantizedNotes(
        start[order],
        end[order],
        pitch[order].astype(np.uint8),
        velocity[order].astype(np.uint8),
        bar_position=piece.bar_position,
        tempo_qpm=piece.tempo_qpm,
        steps_per_quarter=piece.steps_per_quarter,
        time_signatures=piece.time_signatures,
    )
