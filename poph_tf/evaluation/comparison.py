"""Compares composed pieces with real ones: figures, a table, pictures.

Three kinds of figures, each defined where it is computed:
    - measures of single pieces (`measures.py`), as mean and deviation over each set;
    - distances between histograms of the two sets (`distances.py`);
    - the longest passage that a piece copies from the training pieces (`copying.py`),
      beside the same figure for real pieces, which share passages too.

A set is a folder of MIDI files or a split of a folder of records.
"""

import collections
import dataclasses
import json
import os
import pathlib

import numpy as np

from poph_tf.data import examples, matrices, midi, shards
from poph_tf.errors import InputError, MusicFileError
from poph_tf.evaluation import copying, distances, measures

COPY_MEASURES = ("copied_attacks", "copied_bars")
# Searching real pieces for copies is only there to compare with: a sample will do.
MAX_REAL_COPIES = 50


@dataclasses.dataclass(frozen=True, eq=False)
class PieceSet:
    """Pieces to compare.

    Args:
        names: list of str, one a piece.
        pieces: list of matrices.Matrices.
        rejected: dict, reason -> count of files that could not be read.
    """

    names: list
    pieces: list
    rejected: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.pieces)

    def histograms(self, name):
        """Counts [piece, bin] of one of `distances.HISTOGRAMS`."""
        function = distances.HISTOGRAMS[name]
        return np.array([function(piece.cells) for piece in self.pieces])


def is_records(folder):
    """Whether a folder is a data set of ours."""
    return (pathlib.Path(folder) / examples.INFO_NAME).is_file()


def load(folder, split=None, max_pieces=None, style=None):
    """Loads a set of pieces.

    Args:
        folder: str or path. MIDI files, at any depth, or records.
        split: str. Which pieces of records to take.
        max_pieces: int or None. Take every k-th only, so that there are no more.
        style: str or None. Of records, take the pieces of this style only.

    Returns:
        PieceSet.

    Raises:
        InputError: If there is nothing to read.
    """
    if not pathlib.Path(folder).is_dir():
        raise InputError(f"There is no folder {folder}.")
    if is_records(folder):
        found = _records(folder, split, style)
    else:
        found = _midi_files(folder)
    if not len(found):
        raise InputError(
            f"{folder} must hold MIDI files or records; "
            f"nothing there could be read{_reasons(found.rejected)}."
        )
    stride = -(-len(found) // max_pieces) if max_pieces else 1
    return PieceSet(found.names[::stride], found.pieces[::stride], found.rejected)


def _reasons(rejected):
    listed = ", ".join(f"{reason} ({count})" for reason, count in rejected.items())
    return f": {listed}" if listed else ""


def _records(folder, split, style):
    info = examples.read_info(folder)
    if style and style not in info.styles:
        raise InputError(
            f"{folder} has no style {style!r}; it has {', '.join(info.styles)}."
        )
    names, pieces = [], []
    for path in examples.shard_paths(folder, split):
        for _, data in shards.read(path):
            piece = examples.deserialize(data)
            if style in (None, piece.style):
                names.append(piece.source)
                pieces.append(piece.matrices)
    return PieceSet(names, pieces)


def _midi_files(folder):
    names, pieces, rejected = [], [], collections.Counter()
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.suffix.lower() not in midi.MIDI_SUFFIXES or path.name.startswith("."):
            continue
        try:
            piece = matrices.from_file(path)
        except MusicFileError as error:
            rejected[error.reason] += 1
        else:
            names.append(path.relative_to(folder).as_posix())
            pieces.append(piece)
    return PieceSet(names, pieces, dict(rejected))


def compare(composed, reference, training=None):
    """Compares composed pieces with real ones.

    Args:
        composed: PieceSet.
        reference: PieceSet. Real pieces, best such as the model has not seen.
        training: PieceSet or None. What may have been copied; None: the reference,
            of which each piece is then compared with the others.

    Returns:
        dict, ready for JSON: `measures` (name -> set -> mean, deviation, count and, of
        the composed, `shift`: difference of means in deviations of the reference),
        `distances` (histogram -> figures of `distances.compare`), `copies` (of each
        composed piece), `pieces` (name -> its measures).
    """
    values = {
        "composed": [measures.measure(piece) for piece in composed.pieces],
        "reference": [measures.measure(piece) for piece in reference.pieces],
    }
    copies = _copies(composed, reference, training, values)
    return {
        "num_composed": len(composed),
        "num_reference": len(reference),
        "num_training": len(training or reference),
        "rejected": composed.rejected,
        "measures": {
            name: _summary(values, name)
            for name in (*measures.MEASURES, *COPY_MEASURES)
        },
        "distances": {
            name: distances.compare(
                composed.histograms(name), reference.histograms(name)
            )
            for name in distances.HISTOGRAMS
        },
        "copies": copies,
        "pieces": {
            name: _jsonable(row)
            for name, row in zip(composed.names, values["composed"], strict=True)
        },
        "reference_pieces": [_jsonable(row) for row in values["reference"]],
    }


def _copies(composed, reference, training, values):
    """Adds `COPY_MEASURES` to the values; returns those of the composed, described."""
    source = training or reference
    index = copying.Index([piece.cells for piece in source.pieces])
    described = {}
    for name, piece, row in zip(
        composed.names, composed.pieces, values["composed"], strict=True
    ):
        copy = index.longest_copy(piece.cells)
        row.update(_copy_values(copy))
        described[name] = {
            **dataclasses.asdict(copy),
            "reference": source.names[copy.reference] if copy.attacks else None,
        }
    stride = -(-len(reference) // MAX_REAL_COPIES)
    for number in range(0, len(reference), stride):
        own = number if training is None else None
        copy = index.longest_copy(reference.pieces[number].cells, exclude=own)
        values["reference"][number].update(_copy_values(copy))
    return described


def _copy_values(copy):
    return {"copied_attacks": float(copy.attacks), "copied_bars": copy.steps / 16}


def _summary(values, name):
    """Mean, deviation and count of a measure in each set; nan does not count."""
    summary = {}
    for key, rows in values.items():
        numbers = np.array([row.get(name, np.nan) for row in rows], np.float64)
        numbers = numbers[np.isfinite(numbers)]
        summary[key] = {
            "mean": float(numbers.mean()) if len(numbers) else None,
            "deviation": float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
            "count": len(numbers),
        }
    composed, reference = summary["composed"], summary["reference"]
    known = composed["mean"] is not None and reference["deviation"]
    summary["composed"]["shift"] = (
        (composed["mean"] - reference["mean"]) / reference["deviation"]
        if known
        else None
    )
    return summary


def _jsonable(row):
    return {name: v if np.isfinite(v) else None for name, v in row.items()}


def table(result):
    """The report as a table in Markdown.

    Args:
        result: dict of `compare`.

    Returns:
        str.
    """
    lines = [
        f"{result['num_composed']} composed pieces, {result['num_reference']} real "
        f"ones, copies searched in {result['num_training']}.",
        "",
        "| measure | composed | real | shift in deviations |",
        "|---|---|---|---|",
    ]
    for name, summary in result["measures"].items():
        sets = [
            f"{_number(summary[key]['mean'])} ± {_number(summary[key]['deviation'])}"
            for key in ("composed", "reference")
        ]
        shift = _number(summary["composed"]["shift"], "+.2f")
        lines.append(f"| {name} | {sets[0]} | {sets[1]} | {shift} |")
    lines += [
        "",
        "| histogram | overlap area | of halves of the real | KL divergence |",
        "|---|---|---|---|",
    ]
    for name, figures in result["distances"].items():
        keys = ("overlap_area", "overlap_area_of_halves", "kl_divergence")
        cells = " | ".join(_number(figures[key]) for key in keys)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def _number(value, form=".3g"):
    return "–" if value is None else format(value, form)


def write(result, output_dir):
    """Writes `comparison.json` and `comparison.md`.

    Raises:
        InputError: If they cannot be written.
    """
    folder = pathlib.Path(output_dir)
    texts = {
        "comparison.json": json.dumps(result, indent=1, ensure_ascii=False) + "\n",
        "comparison.md": table(result),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            partial = folder / f".{name}.partial"
            partial.write_text(text, "utf-8")
            os.replace(partial, folder / name)
    except OSError as error:
        raise InputError(f"Cannot write into {folder}: {error.strerror}.") from error
