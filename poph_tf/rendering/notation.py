"""Notation of notes on the grid: cut at bar lines, set in voices, split into signs.

Source: the rules of common notation: no sign hides a strong beat, except that a note
may begin on a beat and last twice as long.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from poph_tf.data import cells as cells_lib
from poph_tf.rendering import spelling

_MAX_VOICES = 4
# Lengths of a single note or rest, in sixteenths of the grid's quarter of 4 steps.
_SINGLE = (1, 2, 3, 4, 6, 8, 12, 16)


@dataclasses.dataclass(frozen=True)
class Note:
    """A note within one bar.

    Attributes:
        start, end: steps from the bar line.
        name: such as "F#" in music21's spelling ("-" is a flat).
        octave: scientific. Apart from the name, where -1 would read as a flat.
        velocity: 1..127.
        before, after: whether it is tied to the note before and after.
    """

    start: int
    end: int
    name: str
    octave: int
    velocity: int
    before: bool
    after: bool


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar of the grid.

    Attributes:
        length: its steps.
        first: bar position of its first step, above 0 in an upbeat.
        metre: its time signature, from music21.
        per_quarter: steps in a quarter note.
    """

    length: int
    first: int
    metre: Any
    per_quarter: int

    @property
    def compound(self) -> bool:
        """Whether a beat has three parts, as in 6/8."""
        return self.metre.beatDivisionCount == 3

    @property
    def strong(self) -> int:
        """Steps between beats that no note may hide."""
        return self.per_quarter * 3 // 2 if self.compound else self.per_quarter * 2


def by_bar(cells: np.ndarray, lines: np.ndarray, sharps: int) -> list[list[Note]]:
    """The notes of a track, spelled for a key signature and cut at bar lines."""
    start, end, pitch, velocity = cells_lib.spans(cells)
    letter, alter, octave = spelling.spell(pitch, sharps)
    by_bar: list[list[Note]] = [[] for _ in lines[:-1]]
    for k in range(len(pitch)):
        sign = "#" * alter[k] if alter[k] > 0 else "-" * -alter[k]
        name = f"{spelling.LETTERS[letter[k]]}{sign}", int(octave[k])
        first = int(np.searchsorted(lines, start[k], "right")) - 1
        for bar in range(first, int(np.searchsorted(lines, end[k], "left"))):
            low, high = int(lines[bar]), int(lines[bar + 1])
            cut = max(int(start[k]), low) - low, min(int(end[k]), high) - low
            tied = bool(start[k] < low), bool(end[k] > high)
            by_bar[bar].append(Note(*cut, *name, int(velocity[k]), *tied))
    return by_bar


def voices_of(notes: Sequence[Note], length: int) -> Iterator[list[list[Note]]]:
    """Sets the notes of a bar in voices, each a sequence of chords.

    Notes that begin and end together form a chord. If more than four voices would be
    needed, all chords are cut wherever any note begins or ends, so one voice is enough.
    """
    key = lambda note: (note.start, note.end)  # noqa: E731
    chords = [list(c) for _, c in itertools.groupby(sorted(notes, key=key), key)]
    voices: list[list[list[Note]]] = []
    for chord in chords:
        free = [v for v in voices if v[-1][0].end <= chord[0].start]
        if free:
            free[0].append(chord)
        else:
            voices.append([chord])
    if len(voices) > _MAX_VOICES:
        cuts = sorted({0, length, *(t for n in notes for t in (n.start, n.end))})
        sounding = [
            [cut(n, low, high) for n in notes if n.start <= low and high <= n.end]
            for low, high in itertools.pairwise(cuts)
        ]
        voices = [[chord for chord in sounding if chord]]
    yield from voices or [[]]


def cut(note: Note, start: int, end: int) -> Note:
    """The part of a note from one step to another, tied to the rest."""
    before = note.before or start > note.start
    after = note.after or end < note.end
    return dataclasses.replace(note, start=start, end=end, before=before, after=after)


def single_signs(start: int, end: int, bar: Bar) -> Iterator[tuple[int, int]]:
    """Cuts a span of steps into lengths of one sign that do not hide a strong beat."""
    unit = bar.per_quarter / 4
    while start < end:
        reach = min(end - start, _reach(start + bar.first, bar))
        fits = [n * unit for n in _SINGLE if n * unit <= reach]
        step = int(max(fits, default=reach)) or 1
        yield start, start + step
        start += step


def _reach(place: int, bar: Bar) -> int:
    """The most steps that a sign at this bar position may last.

    Twice the largest power of two that divides its position, so that a quarter may
    follow an eighth; off the beat, at most up to the next strong beat.
    """
    within = place % bar.strong if bar.compound else place
    if not within:
        return 4 * bar.per_quarter
    fine = max(bar.per_quarter // 4, 1)
    while within % (2 * fine) == 0:
        fine *= 2
    on_beat = not bar.compound and place % bar.per_quarter == 0
    return 2 * fine if on_beat else min(2 * fine, bar.strong - place % bar.strong)
