"""Looks into a data set: what it says of itself, any of its records, any damage."""

import dataclasses

import numpy as np

from poph_tf import theory
from poph_tf.data import examples, matrices, midi, shards
from poph_tf.data.preparation import report
from poph_tf.errors import InputError

_SIGNS = ".-o"


@dataclasses.dataclass(frozen=True)
class Damage:
    """What a check of all shards found.

    Args:
        num_records: int, sound ones.
        problems: list of str.
    """

    num_records: int
    problems: list


def describe(data_dir):
    """What a data set says of itself, as text."""
    info = examples.read_info(data_dir)
    lines = [f"data set {info.id}", "", report.table(info), "", "made with:"]
    lines += [f"  {k}: {v}" for k, v in sorted(info.settings.items()) if v != ""]
    lines += [f"  {k}: {v}" for k, v in sorted(info.provenance.items())]
    return "\n".join(lines)


def records(data_dir, split):
    """Iterates over a split's records.

    Yields:
        (shard path, offset in the uncompressed shard, examples.Piece).

    Raises:
        InputError: If a record is damaged; names shard and offset.
    """
    for path in examples.shard_paths(data_dir, split):
        for offset, data in shards.read(path):
            try:
                yield path, offset, examples.deserialize(data)
            except InputError as error:
                raise InputError(f"{path}, record at byte {offset}: {error}") from None


def find(data_dir, split, *, index=None, text=None):
    """Finds one record.

    Args:
        data_dir: str.
        split: str or None for any.
        index: int or None. Its place in the split.
        text: str or None. The beginning of its id, or a part of its source.

    Returns:
        examples.Piece.

    Raises:
        InputError: If there is no such record.
    """
    splits = [split] if split else list(examples.read_info(data_dir).splits)
    for name in splits:
        for place, (_, _, piece) in enumerate(records(data_dir, name)):
            if text is None and place == (index or 0):
                return piece
            if text and (piece.id.startswith(text) or text in piece.source):
                return piece
    wanted = f"with {text!r} in its source or id" if text else f"number {index or 0}"
    where = f"the {split} split" if split else "any split"
    raise InputError(f"{data_dir} has no record {wanted} in {where}.")


def verify(data_dir):
    """Reads every record of every shard and holds them against the info.

    Returns:
        Damage.
    """
    info = examples.read_info(data_dir)
    found, problems = 0, []
    for name, split in info.splits.items():
        pieces = steps = 0
        try:
            for path, offset, piece in records(data_dir, name):
                pieces, steps = pieces + 1, steps + len(piece.matrices)
                problems += _problems(path, offset, piece)
        except InputError as error:
            problems.append(str(error))
        if (pieces, steps) != (split.num_pieces, split.num_steps):
            problems.append(
                f"{name} must have {split.num_pieces} pieces with {split.num_steps} "
                f"steps, has {pieces} with {steps}."
            )
        found += pieces
    return Damage(found, problems)


def _problems(path, offset, piece):
    where = f"{path}, record at byte {offset}"
    if piece.id != examples.content_id(piece.matrices):
        return [f"{where}: its content has another id."]
    try:
        matrices.validate(piece.matrices)
    except InputError as error:
        return [f"{where}: {error}"]
    return []


def heading(piece):
    """Facts of a piece, as text."""
    made = piece.matrices
    metres = ", ".join(f"{n}/{d} from step {s}" for s, n, d in made.time_signatures)
    start, _, pitch, _ = matrices.spans(made.cells)
    span = f"{pitch.min()}..{pitch.max()}" if len(pitch) else "none"
    return (
        f"source: {piece.source}\nstyle: {piece.style}\nid: {piece.id}\n"
        f"steps: {len(made)}, {made.steps_per_quarter} a quarter\n"
        f"tempo: {made.tempo_qpm:g} quarters a minute\nmetre: {metres}\n"
        f"notes: {len(start)}, pitches {span}"
    )


def picture_in_text(piece, first=0, count=64):
    """The matrices as text: pitch by pitch, `o` an onset, `-` held, `|` a bar line."""
    cells = piece.matrices.cells[first : first + count]
    bar = piece.matrices.bar_position[first : first + count]
    onset = matrices.onsets(piece.matrices.cells)[first : first + count]
    signs = cells[..., matrices.PLAY].astype(int) + onset
    used = np.flatnonzero(signs.any(0))
    if not len(used):
        return "(silence)"
    lines = []
    for pitch in range(used.max(), used.min() - 1, -1):
        row = "".join(
            ("|" if bar[t] == 0 else "") + _SIGNS[signs[t, pitch]]
            for t in range(len(signs))
        )
        name = f"{theory.PITCH_CLASS_NAMES[pitch % 12]}{pitch // 12 - 1}"
        lines.append(f"{pitch:3d} {name:<4}{row}")
    return "\n".join(lines)


def write_midi(piece, path):
    """Writes a piece as a MIDI file."""
    midi.write(matrices.to_sequence(piece.matrices), path)
