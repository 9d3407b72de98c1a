"""How well the beats found in performances match annotated ones.

Annotations are those of the ASAP data set: a table `NAME_annotations.txt` next to
`NAME.mid`, with a line for each beat: seconds, seconds, and `b` or, on bar lines, `db`.

References: Dixon, Evaluation of the Audio Beat Tracking System BeatRoot, J. New Music
Research 36(1), 2007, for the F-measure; Foscarin et al., ASAP: a Dataset of Aligned
Scores and Performances, ISMIR 2020.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from poph_tf.data import bars, midi_bytes
from poph_tf.data import notes as notes_lib
from poph_tf.data.notes import Notes
from poph_tf.data.preparation.beats import Beats

WINDOW_SECONDS = 0.07
_SUFFIX = "_annotations.txt"


@dataclasses.dataclass(frozen=True, eq=False)
class Performance:
    """A performance whose beats are known.

    Attributes:
        name: its file, relative to the collection, without suffix.
        composition: the folder of all performances of one composition.
        notes: its notes.
        beats: the annotated beats.
    """

    name: str
    composition: str
    notes: Notes
    beats: Beats


def f_measure(
    reference: np.ndarray, found: np.ndarray, window: float = WINDOW_SECONDS
) -> float:
    """The harmonic mean of precision and recall.

    Args:
        reference: float [beat], seconds, ascending.
        found: float [beat], seconds, ascending.
        window: largest distance of matching beats, seconds; each beat matches once.

    Example:
        >>> f_measure(np.array([1.0, 2.0, 3.0]), np.array([1.05, 2.2, 3.0]))
        0.6666666666666666
    """
    hits = i = j = 0
    while i < len(reference) and j < len(found):
        distance = found[j] - reference[i]
        if abs(distance) <= window:
            hits, i, j = hits + 1, i + 1, j + 1
        elif distance < 0:
            j += 1
        else:
            i += 1
    return 2 * hits / max(len(reference) + len(found), 1)


def scores(reference: Beats, found: Beats) -> tuple[float, float]:
    """The F-measures of beats and of bar lines."""
    return (
        f_measure(reference.beats, found.beats),
        f_measure(reference.downbeats, found.downbeats),
    )


def folds(performances: Iterable[Performance], count: int) -> dict[str, int]:
    """Assigns compositions to folds in turn, for cross-validation over compositions."""
    names = sorted({piece.composition for piece in performances})
    return {name: k % count for k, name in enumerate(names)}


def read_performances(folder: str | Path) -> Iterator[Performance]:
    """Reads the annotated performances of a folder and its subfolders, by name."""
    root = Path(folder)
    for table in sorted(root.rglob(f"*{_SUFFIX}")):
        midi = table.with_name(table.name.removesuffix(_SUFFIX) + ".mid")
        if midi.is_file():
            yield Performance(
                name=midi.relative_to(root).with_suffix("").as_posix(),
                composition=midi.parent.relative_to(root).as_posix(),
                notes=midi_bytes.parse(midi.read_bytes(), midi.name),
                beats=read_annotations(table),
            )


def read_annotations(path: str | Path) -> Beats:
    """Reads the beats of an annotation table."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    times = np.array([float(row[0]) for row in rows])
    opens = np.array([row[-1].startswith("db") for row in rows], bool)
    return Beats(times, times[opens])


def beats_of_file(notes: Notes) -> Beats:
    """The quarters and the bar lines of a file's own grid."""
    end = int(notes.end_tick.max(initial=0)) // notes.ticks_per_quarter + 1
    seconds = notes_lib.seconds_of(notes)
    quarters = seconds(np.arange(end) * notes.ticks_per_quarter)
    opens = bars.bar_positions(notes, end, steps_per_quarter=1) == 0
    return Beats(quarters, quarters[opens])
