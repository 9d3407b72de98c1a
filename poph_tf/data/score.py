"""A score as read from a file: parts, bars and what is written in them.

Places and lengths are exact fractions of a quarter note. A measure is one bar of all
parts; what applies to all of them (metre, tempo, repeats) is stored once. `unfold`
gives the order in which players play the measures.
"""

import collections
import dataclasses
from collections.abc import Sequence
from fractions import Fraction

from poph_tf.errors import MusicFileError

# More than any score has; a broken file may ask for billions.
MAX_MEASURES = 100_000
_MAX_TIMES = 16


@dataclasses.dataclass(slots=True)
class Note:
    """A note as written; tied notes are still separate.

    Attributes:
        start: quarter notes since the beginning of its measure.
        length: in quarter notes; 0 for a grace note.
        pitch: MIDI number as it sounds.
        voice: its voice; the notes of one voice of a part follow each other.
        starts_tie, ends_tie: whether it is tied to the next, or to the one before.
        grace: its place among the grace notes before a note, from 1; 0 for others.
        mark: the sign that changes how it is played, if any: "trill", "turn",
            "inverted-turn", "mordent", "inverted-mordent", "arpeggio", "arpeggio-down",
            "tremolo", or "ornament" for any other.
        above, below: semitones to the neighbours that an ornament uses.
        program: General MIDI program, 0..127.
        is_drum: whether the pitch is that of a drum.
    """

    start: Fraction
    length: Fraction
    pitch: int
    voice: str = ""
    starts_tie: bool = False
    ends_tie: bool = False
    grace: int = 0
    mark: str = ""
    above: int = 2
    below: int = -2
    program: int = 0
    is_drum: bool = False


def struck(note: Note, start: Fraction, length: Fraction) -> Note:
    """One of the notes of a tremolo on a note, at its own place."""
    return dataclasses.replace(
        note, start=start, length=length, starts_tie=False, ends_tie=False, grace=0
    )


@dataclasses.dataclass(slots=True)
class Measure:
    """What applies to one bar of all parts.

    Attributes:
        length: in quarter notes, as far as notes and rests reach; 0 if it has none.
        ends: where its voices end, in quarter notes.
        metre: numerator and denominator, where they change; (0, 0): free.
        key: (sharps, or flats if negative; mode of `key_signatures`), where it changes.
        tempi: (quarter notes since the beginning, quarter notes per minute) of each.
        begins_repeat: whether a repeat begins here.
        times: how often the passage that ends here is played; 0: nothing ends here.
        endings: the passes in which this alternative ending is played; empty: all.
        label: the name of the section that begins here.
        segno, coda: whether the sign stands here.
        da_capo, dal_segno, to_coda, fine: whether its end says so.
    """

    length: Fraction = Fraction(0)
    ends: list[Fraction] = dataclasses.field(default_factory=list)
    metre: tuple[int, int] | None = None
    key: tuple[int, int] | None = None
    tempi: list[tuple[Fraction, float]] = dataclasses.field(default_factory=list)
    begins_repeat: bool = False
    times: int = 0
    endings: frozenset[int] = frozenset()
    label: str = ""
    segno: bool = False
    coda: bool = False
    da_capo: bool = False
    dal_segno: bool = False
    to_coda: bool = False
    fine: bool = False


@dataclasses.dataclass
class Part:
    """A part: its name, its instrument, and its notes by the number of the measure."""

    name: str = ""
    program: int = 0
    is_drum: bool = False
    notes: dict[int, list[Note]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Score:
    """A piece as written.

    Attributes:
        parts: the parts.
        measures: the bars, in the order of the score.
        title, composer, arranger: as in the file, or "".
        order: labels of sections in playing order; empty: as written.
        order_once: the same without repeats.
        repairs: how often something that could not be kept was changed, by kind.
    """

    parts: list[Part] = dataclasses.field(default_factory=list)
    measures: list[Measure] = dataclasses.field(default_factory=list)
    title: str = ""
    composer: str = ""
    arranger: str = ""
    order: Sequence[str] = ()
    order_once: Sequence[str] = ()
    repairs: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )

    def measure(self, number: int) -> Measure:
        """The measure with this number; missing measures are added."""
        if number >= MAX_MEASURES:
            raise MusicFileError("score", f"has more than {MAX_MEASURES:,} measures")
        while len(self.measures) <= number:
            self.measures.append(Measure())
        return self.measures[number]


def once(score: Score) -> list[int]:
    """The measures without repeats: of alternative endings, only the last."""
    if order := _in_order(score, score.order_once):
        return order
    last = _last_endings(score.measures)
    return [k for k, m in enumerate(score.measures) if not m.endings or last[k]]


def unfold(score: Score) -> list[int]:
    """The order in which players play the measures.

    After da capo or dal segno, repeats are not played again, and of alternative endings
    only the last is played; if there is a coda, "to coda" leads to it, and "fine"
    ends the piece.

    Raises:
        MusicFileError: If that would go on for more than `MAX_MEASURES`.
    """
    return _in_order(score, score.order) or _played(score.measures)


def _in_order(score: Score, names: Sequence[str]) -> list[int]:
    """The measures of sections; none if there are no such sections."""
    labels = {m.label: k for k, m in enumerate(score.measures) if m.label}
    sections = [labels[name] for name in names if name in labels]
    edges = [*sorted(labels.values()), len(score.measures)]
    order = list(range(edges[0])) if sections else []  # what precedes all labels
    for start in sections:
        stop = edges[edges.index(start) + 1]
        order += [start + k for k in _played(score.measures[start:stop])]
        _check_count(order)
    return order


def _played(measures: Sequence[Measure]) -> list[int]:
    player = _Player(measures)
    while player.at < len(measures):
        player.play()
        _check_count(player.order)
    return player.order


def _check_count(order: Sequence[int]) -> None:
    if len(order) > MAX_MEASURES:
        raise MusicFileError("score", "its repeats go on and on")


class _Player:
    """Goes through the measures as a player does."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self._measures = measures
        self._last = _last_endings(measures)
        self._section, self._time = 0, 1
        self._jumps: set[int] = set()  # measures whose jump has been taken
        self.at = 0
        self.order: list[int] = []

    def play(self) -> None:
        """Plays or skips the measure at `at`, and goes to the next."""
        at, measure = self.at, self._measures[self.at]
        if measure.begins_repeat and at != self._section:
            self._section, self._time = at, 1
        if measure.endings and not self._is_due(at):
            self.at = at + 1
            self._leave_endings(at)
            return
        self.order.append(at)
        self.at = self._after(at, measure)

    def _is_due(self, at: int) -> bool:
        """Whether the alternative ending of a measure is played this time."""
        if self._jumps:
            return self._last[at]
        endings = self._group(at)
        return self._time in self._measures[at].endings or self._time < min(endings)

    def _after(self, at: int, measure: Measure) -> int:
        jumped = bool(self._jumps)
        if measure.times and not jumped:
            if self._time < self._times(at):
                self._time += 1
                return self._section
            self._section, self._time = at + 1, 1
        if jumped and measure.fine:
            return len(self._measures)
        if jumped and measure.to_coda and (coda := self._coda(at)):
            return coda
        if at not in self._jumps and (measure.da_capo or measure.dal_segno):
            self._jumps.add(at)
            return self._segno(at) if measure.dal_segno else 0
        self._leave_endings(at)
        return at + 1

    def _times(self, at: int) -> int:
        """How often the passage that ends at a measure is played."""
        return min(max([self._measures[at].times, *self._group(at)]), _MAX_TIMES)

    def _group(self, at: int) -> list[int]:
        """The passes of all alternative endings around a measure."""
        first, last = at, at
        while first >= 0 and self._measures[first].endings:
            first -= 1
        while last < len(self._measures) and self._measures[last].endings:
            last += 1
        return [n for m in self._measures[first + 1 : last] for n in m.endings]

    def _leave_endings(self, at: int) -> None:
        """Begins a new section after the last alternative ending."""
        if self._last[at] and not any(m.endings for m in self._measures[at + 1 :][:1]):
            self._section, self._time = at + 1, 1

    def _segno(self, at: int) -> int:
        signs = [k for k, m in enumerate(self._measures[: at + 1]) if m.segno]
        return signs[-1] if signs else 0

    def _coda(self, at: int) -> int:
        """The measure of the coda after a measure; 0 if there is none."""
        behind = range(at + 1, len(self._measures))
        return next((k for k in behind if self._measures[k].coda), 0)


def _last_endings(measures: Sequence[Measure]) -> list[bool]:
    """Whether each measure belongs to the last alternative ending."""
    found = [False] * len(measures)
    behind: frozenset[int] = frozenset()  # the last ending of the group
    for k in reversed(range(len(measures))):
        endings = measures[k].endings
        begins_group = k + 1 == len(measures) or not measures[k + 1].endings
        if begins_group:
            behind = endings
        found[k] = bool(endings) and endings == behind
    return found
