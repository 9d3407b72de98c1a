"""Compares the onsets of a score with those of a MIDI file of the same piece.

An onset is a place, in quarter notes, and a pitch; two are equal if the pitch is the
same and the places are closer than a 24th of a quarter. Unequal onsets are left out
of the figure if they belong to what players add to the written music, by class:

    - grace: grace notes and the notes they lead to, at another time;
    - ornament: notes of chords with an ornament or an arpeggio, and others up to a
      whole tone from them while they last;
    - tremolo: the same for tremolos.
"""

import bisect
import collections
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from poph_tf.data import reading, score_sequence, scores
from poph_tf.data.ornaments import Ornaments
from poph_tf.data.tones import Tone

CLASSES = ("grace", "ornament", "tremolo")
_TOLERANCE = 1 / 24
# How far an ornament may lie from its note, in pitch and in time.
_SEMITONES, _QUARTERS = 2, 0.5
HEADER = (
    f"{'equal':>8}{'onsets':>8}{'missing':>8}{'extra':>7}"
    + "".join(f"{name:>10}" for name in CLASSES)
    + f"{'left out':>10}{'added':>7}{'of MIDI':>9}  piece"
)


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How the onsets of a score and of a MIDI file agree.

    Attributes:
        equal: onsets in both.
        missing: onsets of the MIDI file that the score lacks.
        extra: onsets of the score that the MIDI file lacks.
        left_out: unequal onsets of the score, by class.
        added: onsets of the MIDI file that are set aside, by class.
    """

    equal: int
    missing: int
    extra: int
    left_out: collections.Counter[str]
    added: collections.Counter[str]

    @property
    def share(self) -> float:
        """Share of equal onsets among those that are not left out."""
        return self.equal / max(self.equal + self.missing + self.extra, 1)

    @property
    def left_out_share(self) -> float:
        """Share of the score's onsets that are left out."""
        count = self.left_out.total()
        return count / max(self.equal + self.extra + count, 1)

    @property
    def added_share(self) -> float:
        """Share of the MIDI file's onsets that are set aside as players' additions."""
        count = self.added.total()
        return count / max(self.equal + self.missing + count, 1)

    def row(self, name: str) -> str:
        """A row of the table below `HEADER`."""
        onsets = self.equal + self.extra + self.left_out.total()
        classes = "".join(f"{self.left_out[c]:>10,}" for c in CLASSES)
        return (
            f"{self.share:>8.2%}{onsets:>8,}{self.missing:>8,}{self.extra:>7,}{classes}"
            f"{self.left_out_share:>10.2%}{self.added.total():>7,}{self.added_share:>9.2%}"
            f"  {name}"
        )


def compare(
    score: str | Path, midi: str | Path, ornaments: Ornaments = "played"
) -> Agreement:
    """Compares a score, with its repeats played, to a MIDI file.

    Raises:
        MusicFileError: If one of them cannot be read, or the score holds several tunes.
    """
    parsed = scores.parse_one(score)
    tones = score_sequence.played(parsed)
    sounding = score_sequence.played(parsed, ornaments)
    notes = reading.read_notes(midi)
    starts = (notes.start_tick / notes.ticks_per_quarter).tolist()
    played = zip(starts, notes.pitch.tolist(), strict=True)
    return compare_onsets(tones, played, sounding)


def compare_onsets(
    tones: Sequence[Tone],
    played: Iterable[tuple[float, int]],
    sounding: Sequence[Tone] | None = None,
) -> Agreement:
    """Compares the tones of a score with onsets (quarter notes, pitch) as played.

    Args:
        tones: the tones as written; onsets that are set aside lie around them.
        played: the onsets.
        sounding: the tones with their ornaments played; None: as written.
    """
    sounding = tones if sounding is None else sounding
    expected = {
        (float(tone.start), tone.note.pitch): name
        for tone, name in zip(sounding, _classes(sounding), strict=True)
    }
    left = _Onsets(played)
    unequal = collections.Counter[str]()
    equal = 0
    for (start, pitch), name in sorted(expected.items()):
        if left.take(start, pitch):
            equal += 1
        else:
            unequal[name] += 1
    added = collections.Counter[str]()
    for tone, name in zip(tones, _classes(tones), strict=True):
        if name:
            # Grace notes move their neighbours in time; ornaments add other pitches.
            added[name] += left.take_around(tone, 0 if name == "grace" else _SEMITONES)
    return Agreement(
        equal=equal,
        missing=left.count(),
        extra=unequal.pop("", 0),
        left_out=unequal,
        added=added,
    )


def total(agreements: Iterable[Agreement]) -> Agreement:
    """The sum of several comparisons."""
    parts = list(agreements)
    counts = np.array([(a.equal, a.missing, a.extra) for a in parts])
    equal, missing, extra = counts.reshape(-1, 3).sum(0).tolist()
    none = collections.Counter[str]()
    left_out = sum((a.left_out for a in parts), none)
    added = sum((a.added for a in parts), none)
    return Agreement(equal, missing, extra, left_out, added)


def _classes(tones: Sequence[Tone]) -> list[str]:
    """The class of each tone; "": none."""
    places = [(tone.note.voice, round(float(tone.written), 6)) for tone in tones]
    # A mark is written at one note of its chord.
    marks = {
        place: _class(tone)
        for place, tone in zip(places, tones, strict=True)
        if tone.note.mark and not tone.note.grace
    }
    graced = {p for p, tone in zip(places, tones, strict=True) if tone.note.grace}
    return [
        _class(tone)
        or ("" if tone.note.grace else marks.get(place, ""))
        or ("grace" if place in graced else "")
        for place, tone in zip(places, tones, strict=True)
    ]


def _class(tone: Tone) -> str:
    """The class of a tone by its own mark."""
    mark = tone.note.mark
    return mark if mark in ("", "tremolo") else "ornament"


class _Onsets:
    """Onsets that have not been found in the score, by pitch."""

    def __init__(self, onsets: Iterable[tuple[float, int]]) -> None:
        self._starts: dict[int, list[float]] = collections.defaultdict(list)
        for start, pitch in sorted(set(onsets)):
            self._starts[pitch].append(start)

    def take(self, start: float, pitch: int) -> bool:
        """Removes the onset there, if there is one."""
        starts = self._starts[pitch]
        k = bisect.bisect_left(starts, start - _TOLERANCE)
        if k < len(starts) and starts[k] <= start + _TOLERANCE:
            del starts[k]
            return True
        return False

    def take_around(self, tone: Tone, semitones: int) -> int:
        """Removes the onsets that an ornament may have made of a tone."""
        count = 0
        first, last = float(tone.start) - _QUARTERS, float(tone.end) + _TOLERANCE
        last = max(last, float(tone.start) + _QUARTERS)
        pitch = tone.note.pitch
        for near in range(pitch - semitones, pitch + semitones + 1):
            starts = self._starts[near]
            a, b = bisect.bisect_left(starts, first), bisect.bisect_right(starts, last)
            count += b - a
            del starts[a:b]
        return count

    def count(self) -> int:
        """The number of onsets left."""
        return sum(map(len, self._starts.values()))
