"""Compares composed pieces with real ones: figures and a table.

Four kinds of figures, each defined in its own module:
    - measures of single pieces (`measures.py`, `voice_leading.py`, `harmony.py`,
      `form.py`), as mean and deviation over each set;
    - distances between histograms of the two sets (`distances.py`);
    - the longest passage that a piece copies from the training pieces, or shares with
      another piece of its own set (`copying.py`), next to the same figures for real
      pieces, which share passages too;
    - two-sided guards over some of these (`guards.py`).

A set is a folder of MIDI files, or a split of a folder of records.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poph_tf import files
from poph_tf.data import examples, matrices, reading, shards
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError, MusicFileError
from poph_tf.evaluation import (
    copying,
    distances,
    form,
    guards,
    harmony,
    measures,
    results,
    shuffling,
    voice_leading,
)
from poph_tf.evaluation.results import number

MEASURES = measures.MEASURES | {
    function.__name__: function
    for chapter in (voice_leading, harmony, form)
    for function in chapter.MEASURES
}
COPY_MEASURES = ("copied_attacks", "copied_bars", "shared_attacks")
# A sample is enough for pieces that are only compared with others.
MAX_SEARCHED = 50
DISTANCES = ("overlap_area", "overlap_area_of_halves", "kl_divergence")


@dataclasses.dataclass(frozen=True, eq=False)
class PieceSet:
    """Pieces to compare.

    Attributes:
        names: one name for each piece.
        pieces: the pieces.
        rejected: number of unreadable files by reason.
    """

    names: Sequence[str]
    pieces: Sequence[Matrices]
    rejected: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pieces)

    def histograms(self, name: str) -> np.ndarray:
        """Counts [piece, bin] of one of `distances.HISTOGRAMS`."""
        return np.array([distances.HISTOGRAMS[name](p.cells) for p in self.pieces])


def is_records(folder: Path) -> bool:
    """Whether a folder is a poph_tf data set."""
    return (folder / examples.INFO_NAME).is_file()


def load(
    folder: Path,
    split: str = "test",
    max_pieces: int | None = None,
    style: str | None = None,
) -> PieceSet:
    """Loads a set of pieces.

    Args:
        folder: MIDI files, at any depth, or records.
        split: the split of records to load.
        max_pieces: load only every k-th piece, so that there are at most this many.
        style: load only pieces of this style; for records only.

    Raises:
        InputError: If there is nothing to read.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    found = _records(folder, split, style) if is_records(folder) else _music(folder)
    if not found.pieces:
        reasons = ", ".join(f"{why} ({count})" for why, count in found.rejected.items())
        raise InputError(
            f"{folder} must hold music files or records; "
            f"nothing there could be read{reasons and f': {reasons}'}."
        )
    stride = -(-len(found) // max_pieces) if max_pieces else 1
    return PieceSet(found.names[::stride], found.pieces[::stride], found.rejected)


def shuffled(pieces: PieceSet, how: str) -> PieceSet:
    """The set with each piece spoilt in one way of `shuffling.SHUFFLES`."""
    spoilt = [shuffling.shuffle(p, how, k) for k, p in enumerate(pieces.pieces)]
    return dataclasses.replace(pieces, pieces=spoilt)


def _records(folder: Path, split: str, style: str | None) -> PieceSet:
    styles = examples.read_info(folder).styles
    if style and style not in styles:
        raise InputError(
            f"{folder} has no style {style!r}; it has {', '.join(styles)}."
        )
    records = [
        examples.deserialize(record)
        for path in examples.shard_paths(folder, split)
        for _, record in shards.read(path)
    ]
    kept = [piece for piece in records if style in (None, "", piece.style)]
    return PieceSet([p.source for p in kept], [p.matrices for p in kept])


def _is_midi(path: Path) -> bool:
    return path.suffix.lower() in reading.MIDI_SUFFIXES


def _music(folder: Path) -> PieceSet:
    pieces: dict[str, Matrices] = {}
    rejected: collections.Counter[str] = collections.Counter()
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in reading.SUFFIXES and path.name[0] != "."
    ]
    midi = {p.with_suffix("") for p in paths if _is_midi(p)}
    for path in paths:
        # A score next to a MIDI file of the same name is the same piece.
        if _is_midi(path) or path.with_suffix("") not in midi:
            try:
                name = path.relative_to(folder).as_posix()
                pieces[name] = matrices.from_file(path)
            except MusicFileError as error:
                rejected[error.reason] += 1
    return PieceSet(list(pieces), list(pieces.values()), dict(rejected))


def compare(
    composed: PieceSet, reference: PieceSet, training: PieceSet | None = None
) -> dict[str, Any]:
    """Compares composed pieces with real ones.

    Args:
        composed: composed pieces.
        reference: real pieces, preferably ones that the model has not seen.
        training: pieces that may have been copied; None: the reference, where each real
            piece is compared with the others.

    Returns:
        Figures, ready for JSON: `measures` (name -> set -> mean, deviation, count; for
        the composed also `shift`, the difference of means in deviations of the
        reference), `guards` (from `guards.check`), `distances` (histogram ->
        figures of `distances.compare`), `copies` (of each composed piece), `pieces`
        (name -> its measures), `rejected` and `rejected_reference` (reason -> number of
        unreadable files, composed and real).
    """
    sets = {"composed": composed, "reference": reference}
    rows = {key: list(map(_measure, pieces.pieces)) for key, pieces in sets.items()}
    copies = _copies(composed, reference, training, rows)
    for key, pieces in sets.items():
        _add_shared(pieces, rows[key])
    known = {key: [_without_nan(row) for row in group] for key, group in rows.items()}
    found = {name: _summary(known, name) for name in (*MEASURES, *COPY_MEASURES)}
    return {
        "num_composed": len(composed),
        "num_reference": len(reference),
        "num_training": len(training or reference),
        "rejected": composed.rejected,
        "rejected_reference": reference.rejected,
        "measures": found,
        "guards": guards.check(found, sets),
        "distances": {
            h: distances.compare(composed.histograms(h), reference.histograms(h))
            for h in distances.HISTOGRAMS
        },
        "copies": copies,
        "pieces": dict(zip(composed.names, known["composed"], strict=True)),
        "reference_pieces": known["reference"],
    }


def _measure(piece: Matrices) -> dict[str, float]:
    return {name: function(piece) for name, function in MEASURES.items()}


def _without_nan(row: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in row.items()}


def _copies(
    composed: PieceSet,
    reference: PieceSet,
    training: PieceSet | None,
    rows: Mapping[str, Sequence[dict[str, float]]],
) -> dict[str, dict[str, Any]]:
    """Adds `COPY_MEASURES` to rows; returns the copies in composed pieces by name."""
    source = training or reference
    index = copying.Index([piece.cells for piece in source.pieces])
    described = {}
    for k, (name, piece) in enumerate(
        zip(composed.names, composed.pieces, strict=True)
    ):
        copy = index.longest_copy(piece.cells)
        rows["composed"][k].update(_copy_values(copy))
        origin = source.names[copy.reference] if copy.attacks else None
        described[name] = {**dataclasses.asdict(copy), "reference": origin}
    for k in range(0, len(reference), -(-len(reference) // MAX_SEARCHED)):
        own = k if training is None else None
        copy = index.longest_copy(reference.pieces[k].cells, exclude=own)
        rows["reference"][k].update(_copy_values(copy))
    return described


def _add_shared(pieces: PieceSet, rows: Sequence[dict[str, float]]) -> None:
    """Adds how much each piece shares with another one of its set."""
    stride = -(-len(pieces) // MAX_SEARCHED)
    cells = [piece.cells for piece in pieces.pieces[::stride]]
    index = copying.Index(cells)
    for k, one in enumerate(cells if len(cells) > 1 else ()):
        shared = index.longest_copy(one, exclude=k).attacks
        rows[k * stride]["shared_attacks"] = float(shared)


def _copy_values(copy: copying.Copy) -> dict[str, float]:
    return {"copied_attacks": float(copy.attacks), "copied_bars": copy.steps / 16}


def _summary(
    rows: Mapping[str, Sequence[Mapping[str, float | None]]], name: str
) -> dict[str, dict[str, float | None]]:
    """Mean, deviation and count of a measure in each set; None is ignored."""
    summary: dict[str, dict[str, Any]] = {}
    for key, group in rows.items():
        values = [v for row in group if (v := row.get(name)) is not None]
        summary[key] = {
            "mean": float(np.mean(values)) if values else None,
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "count": len(values),
        }
    composed, reference = summary["composed"], summary["reference"]
    composed["shift"] = None
    if composed["mean"] is not None and reference["deviation"]:
        shift = composed["mean"] - reference["mean"]
        composed["shift"] = shift / reference["deviation"]
    return summary


def figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """What `poph_tf.evaluate --compare` prints: one key for each measure.

    Args:
        result: from `compare`.
    """
    pieces = ("measures", "copies", "pieces", "reference_pieces")
    others = {name: value for name, value in result.items() if name not in pieces}
    return others | result["measures"]


def table(result: Mapping[str, Any]) -> str:
    """The figures of `compare` as Markdown tables."""
    rows = []
    for name, sets in result["measures"].items():
        # Of the composed pieces and of the reference.
        figures = [
            f"{number(s['mean'])} ± {number(s['deviation'])}" for s in sets.values()
        ]
        rows.append([name, *figures, number(sets["composed"]["shift"], "+.2f")])
    histograms = [
        [name, *(number(found[key]) for key in DISTANCES)]
        for name, found in result["distances"].items()
    ]
    header = ["histogram", "overlap area", "of halves of the real", "KL divergence"]
    return (
        f"{result['num_composed']} composed pieces, {result['num_reference']} real "
        f"ones, copies searched in {result['num_training']}.\n\n"
        + results.table(["measure", "composed", "real", "shift in deviations"], rows)
        + "\n"
        + results.table(header, histograms)
        + "\n"
        + guards.table(result["guards"])
    )


def write(result: Mapping[str, Any], folder: Path) -> None:
    """Writes `comparison.json` and `comparison.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = files.to_json(result, indent=1) + "\n"
    files.write(folder / "comparison.json", text)
    files.write(folder / "comparison.md", table(result))
