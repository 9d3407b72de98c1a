"""Looks into a data set: its info, single records, any damage."""

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from poph_tf import theory
from poph_tf.data import examples, matrices, shards
from poph_tf.data.examples import Piece
from poph_tf.data.preparation import report
from poph_tf.errors import InputError

_SIGNS = ".-o"
_Path = str | pathlib.Path


@dataclasses.dataclass(frozen=True)
class Damage:
    """The result of a check of all shards.

    Attributes:
        num_records: number of valid records.
        problems: a line for each problem.
    """

    num_records: int
    problems: list[str]


def describe(data_dir: _Path) -> str:
    """The info of a data set as text."""
    info = examples.read_info(data_dir)
    lines = [f"data set {info.id}", "", report.table(info), "", "made with:"]
    lines += [f"  {k}: {v}" for k, v in sorted(info.settings.items()) if v != ""]
    lines += [f"  {k}: {v}" for k, v in sorted(info.provenance.items())]
    return "\n".join(lines)


def records(data_dir: _Path, split: str) -> Iterator[tuple[str, Piece]]:
    """Iterates over a split's records.

    Yields:
        (its location, the piece).

    Raises:
        InputError: If a record is damaged; names the shard and the place.
    """
    for path in examples.shard_paths(data_dir, split):
        for offset, data in shards.read(path):
            where = f"{path}, record at byte {offset}"
            try:
                yield where, examples.deserialize(data)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None


def find(
    data_dir: _Path,
    split: str | None,
    *,
    index: int | None = None,
    text: str | None = None,
) -> Piece:
    """Finds one record.

    Args:
        data_dir: the data set.
        split: None for any.
        index: its place in the split.
        text: the beginning of its id, or a part of its source.

    Raises:
        InputError: If there is no such record.
    """
    for name in [split] if split else list(examples.read_info(data_dir).splits):
        for place, (_, piece) in enumerate(records(data_dir, name)):
            if text is None and place == (index or 0):
                return piece
            if text and (piece.id.startswith(text) or text in piece.source):
                return piece
    wanted = f"with {text!r} in its source or id" if text else f"number {index or 0}"
    where = f"the {split} split" if split else "any split"
    raise InputError(f"{data_dir} has no record {wanted} in {where}.")


def verify(data_dir: _Path) -> Damage:
    """Reads every record of every shard and compares them with the info."""
    found, problems = 0, []
    for name, split in examples.read_info(data_dir).splits.items():
        pieces = steps = 0
        try:
            for where, piece in records(data_dir, name):
                pieces, steps = pieces + 1, steps + len(piece.matrices)
                problem = _problem(piece)
                problems += [f"{where}: {problem}"] if problem else []
        except InputError as error:
            problems.append(str(error))
        if (pieces, steps) != (split.num_pieces, split.num_steps):
            problems.append(
                f"{name} must have {split.num_pieces} pieces with {split.num_steps} "
                f"steps, has {pieces} with {steps}."
            )
        found += pieces
    return Damage(found, problems)


def _problem(piece: Piece) -> str:
    """What is wrong with a readable record; empty if nothing is."""
    if piece.id != examples.content_id(piece.matrices, piece.tracks):
        return "its content has another id."
    try:
        matrices.validate(piece.matrices)
    except InputError as error:
        return str(error)
    return ""


def heading(piece: Piece) -> str:
    """Source, style, length, tempo, metre and range of a piece, as text."""
    made = piece.matrices
    metres = ", ".join(f"{n}/{d} from step {s}" for s, n, d in made.time_signatures)
    start, _, pitch, _ = matrices.spans(made.cells)
    tracks = ", ".join(track.name for track in made.tracks) or "merged"
    span = f"{pitch.min()}..{pitch.max()}" if len(pitch) else "none"
    return (
        f"source: {piece.source}\nstyle: {piece.style}\nid: {piece.id}\n"
        f"steps: {len(made)}, {made.steps_per_quarter} per quarter\n"
        f"tempo: {made.tempo_qpm:g} quarters per minute\nmetre: {metres}\n"
        f"tracks: {tracks}\nnotes: {len(start)}, pitches {span}"
    )


def picture_in_text(piece: Piece, first: int = 0, count: int = 64) -> str:
    """The matrices as text: pitch by pitch, `o` an onset, `-` held, `|` a bar line."""
    shown = slice(first, first + count)
    cells, bar = piece.matrices.cells[shown], piece.matrices.bar_position[shown]
    onset = matrices.onsets(piece.matrices.cells)[shown]
    signs = cells[..., matrices.PLAY].astype(int) + onset
    used = np.flatnonzero(signs.any(0))
    if not len(used):
        return "(silence)"
    lines = []
    for pitch in range(used.max(), used.min() - 1, -1):
        row = "".join(
            ("|" if position == 0 else "") + _SIGNS[sign]
            for position, sign in zip(bar, signs[:, pitch], strict=True)
        )
        name = f"{theory.PITCH_CLASS_NAMES[pitch % 12]}{pitch // 12 - 1}"
        lines.append(f"{pitch:3d} {name:<4}{row}")
    return "\n".join(lines)
