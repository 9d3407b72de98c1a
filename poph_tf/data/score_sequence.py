"""Converts a score as written into a NoteSequence as played.

Conventions:
    - Ties are merged, even across voices, bar lines and repeats.
    - Grace notes and ornaments are those of `tones` and `ornaments`.
    - Bar lines are where the score has them. After a pickup the time signature is
      repeated, which tells readers of the file (including ours) that a bar begins; a
      bar split by a repeat sign counts as one bar; any other bar of unusual length has
      its own time signature.
    - Scores have no usable dynamics, so every note has the same velocity.
    - Positions are exact fractions of quarter notes until they become seconds.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from poph_tf.data import credits, key_signatures, music_proto
from poph_tf.data import ornaments as ornaments_lib
from poph_tf.data import score as score_lib
from poph_tf.data import tones as tones_lib
from poph_tf.data.notes import REPAIR_ANNOTATION
from poph_tf.data.ornaments import Ornaments
from poph_tf.data.score import Measure, Part, Score
from poph_tf.data.tones import Tone
from poph_tf.errors import MusicFileError

if TYPE_CHECKING:
    from note_seq import NoteSequence

VELOCITY = 64
DEFAULT_QPM = 120.0
Repeats = Literal["played", "once"]
_MIDI_BEATS = (1, 2, 4, 8, 16, 32, 64)
_RUNS_OVER = Fraction(5, 4)
_ROUNDING = Fraction(1, 64)
_QPM_RANGE = (10, 400)
# Quarter notes; a NoteSequence cannot hold time signatures of arbitrary length.
_LONGEST_BAR = 100_000
# Numerator and denominator.
_Signature = tuple[int, int]
# A length or a place in quarter notes, numerator and denominator.
_Bar = tuple[Fraction, int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class _Timeline:
    """The measures as they are played.

    Attributes:
        order: indices of the measures in the score, in playing order.
        starts: start of each of them in quarter notes, and the end.
        bars: length, numerator and denominator of each of them.
        tempi: start in quarter notes and qpm of each tempo, the first at 0.
    """

    order: Sequence[int]
    starts: Sequence[Fraction]
    bars: Sequence[_Bar]
    tempi: Sequence[tuple[Fraction, float]]


def to_sequence(
    score: Score,
    path: object = "score",
    *,
    repeats: Repeats = "played",
    ornaments: Ornaments = "written",
    tempo_qpm: float = DEFAULT_QPM,
    velocity: int = VELOCITY,
) -> "NoteSequence":
    """Converts a score into a NoteSequence.

    Args:
        score: the score.
        path: the file's name, for messages.
        repeats: "played": repeats, endings and jumps as players play them; "once": each
            measure once, and of alternative endings only the last.
        ornaments: "written": a trill is one note, an arpeggio one chord; "played": they
            become the notes that players play.
        tempo_qpm: quarter notes per minute until the score gives a tempo.
        velocity: of every note, 1..127.

    Returns:
        A sequence with a part and an instrument for each part of the score, time
        signatures, keys and tempi.

    Raises:
        MusicFileError: If it has no notes, none to play, endless repeats, or too long a
            bar.
    """
    if not any(notes for part in score.parts for notes in part.notes.values()):
        raise MusicFileError(path, "has no notes")
    try:
        timeline = _timeline(score, repeats, tempo_qpm)
    except MusicFileError as error:
        raise MusicFileError(path, error.reason) from None
    seconds = _clock(timeline.tempi)
    sequence = _empty_sequence(score)
    _add_signs(sequence, score, timeline, seconds)
    for index, part in enumerate(score.parts):
        tones = _tones(part, timeline, ornaments)
        _add_part(sequence, index, part, tones, velocity, seconds)
    if not sequence.notes:
        raise MusicFileError(path, "its alternative endings leave no note to play")
    # Rests at the end count; a note may last beyond its bar.
    last = max(note.end_time for note in sequence.notes)
    sequence.total_time = max(last, seconds(timeline.starts[-1]))
    return sequence


def played(score: Score, ornaments: Ornaments = "written") -> list[Tone]:
    """The notes of all parts as they sound, repeats played.

    Raises:
        MusicFileError: If the repeats do not end.
    """
    timeline = _timeline(score)
    return [t for part in score.parts for t in _tones(part, timeline, ornaments)]


def _timeline(
    score: Score, repeats: Repeats = "played", tempo_qpm: float = DEFAULT_QPM
) -> _Timeline:
    order = (score_lib.unfold if repeats == "played" else score_lib.once)(score)
    if not order:
        raise MusicFileError("score", "its alternative endings leave no bar to play")
    metres = _metres(score.measures)
    bars = [(_length(score.measures[k], metres[k]), *metres[k]) for k in order]
    lengths = [length for length, *_ in bars]
    if max(lengths) > _LONGEST_BAR:
        reason = f"a bar is longer than {_LONGEST_BAR:,} quarter notes"
        raise MusicFileError("score", reason)
    starts = list(itertools.accumulate(lengths, initial=Fraction(0)))
    tempi = _tempi([score.measures[k] for k in order], starts, tempo_qpm)
    return _Timeline(order, starts, bars, tempi)


def _empty_sequence(score: Score) -> "NoteSequence":
    sequence = music_proto.load().NoteSequence(ticks_per_quarter=480)
    credits.to_sequence(score, sequence)
    sequence.source_info.source_type = sequence.source_info.SCORE_BASED
    sequence.source_info.encoding_type = sequence.source_info.MUSIC_XML
    for kind, count in score.repairs.items():
        sequence.text_annotations.add(text=f"{REPAIR_ANNOTATION}{count} {kind}")
    return sequence


def _metres(measures: Iterable[Measure]) -> list[_Signature]:
    """The metre that holds in each measure; (0, 0): free."""
    found, metre = [], (4, 4)
    for measure in measures:
        metre = measure.metre or metre
        found.append(metre)
    return found


def _length(measure: Measure, metre: _Signature) -> Fraction:
    """Quarter notes of a measure; without content, those of its metre.

    Exporters round lengths and let voices run over: if another voice, or a whole-bar
    rest, ends with the metre, the metre decides, unless a single voice has a cadenza.
    """
    full = Fraction(4 * metre[0], metre[1] or 1)
    length = measure.length
    if not length or abs(length - full) < _ROUNDING:
        return full
    if full and length > full:
        in_time = measure.ends.count(full)
        over = sum(end > full for end in measure.ends)
        if in_time and (length <= full * _RUNS_OVER or in_time > over):
            return full
        exact = [end for end in measure.ends if end > full and (96 * end) % 1 == 0]
        return max(exact, default=length)
    return length


def _tempi(
    measures: Iterable[Measure], starts: Iterable[Fraction], usual_qpm: float
) -> list[tuple[Fraction, float]]:
    """(start in quarter notes, qpm) of each tempo, the first at 0."""
    low, high = _QPM_RANGE
    marks = {
        start + place: float(qpm)
        for measure, start in zip(measures, starts, strict=False)
        for place, qpm in measure.tempi
        if low <= qpm <= high
    }
    marks.setdefault(Fraction(0), usual_qpm)
    return sorted(marks.items())


def _clock(tempi: Sequence[tuple[Fraction, float]]) -> Callable[[Fraction], float]:
    """Makes the function from quarter notes to seconds along the tempi."""
    places = [start for start, _ in tempi]
    spans = [
        float(stop - start) * 60.0 / qpm
        for (start, qpm), stop in zip(tempi, places[1:], strict=False)
    ]
    times = list(itertools.accumulate(spans, initial=0.0))

    def seconds(quarters: Fraction) -> float:
        k = bisect.bisect_right(places, quarters) - 1
        return times[k] + float(quarters - places[k]) * 60.0 / tempi[k][1]

    return seconds


def _add_signs(
    sequence: "NoteSequence",
    score: Score,
    timeline: _Timeline,
    seconds: Callable[[Fraction], float],
) -> None:
    """Adds tempi, time signatures and keys."""
    for start, qpm in timeline.tempi:
        sequence.tempos.add(time=seconds(start), qpm=qpm)
    bars = [bar for bar in timeline.bars if bar[0]]
    for start, numerator, denominator in bar_lines(bars):
        if start < timeline.starts[-1]:
            sequence.time_signatures.add(
                time=seconds(start), numerator=numerator, denominator=denominator
            )
    known = None
    for k, start in zip(timeline.order, timeline.starts, strict=False):
        key = score.measures[k].key
        if key and key != known:
            known = key
            tonic, mode = key_signatures.tonic_of(*key), key[1]
            sequence.key_signatures.add(time=seconds(start), key=tonic, mode=mode)


def _add_part(
    sequence: "NoteSequence",
    index: int,
    part: Part,
    tones: Sequence[Tone],
    velocity: int,
    seconds: Callable[[Fraction], float],
) -> None:
    sequence.part_infos.add(part=index, name=part.name)
    sequence.instrument_infos.add(instrument=index, name=part.name)
    voices: dict[str, int] = {}
    for tone in tones:
        note = tone.note
        sequence.notes.add(
            pitch=note.pitch,
            velocity=velocity,
            start_time=seconds(tone.start),
            end_time=seconds(tone.end),
            instrument=index,
            part=index,
            voice=voices.setdefault(note.voice, len(voices)),
            program=note.program,
            is_drum=note.is_drum,
        )


def _tones(part: Part, timeline: _Timeline, ornaments: Ornaments) -> Sequence[Tone]:
    """The notes of a part as they sound."""
    written = [
        Tone(at, at + note.length, note, at)
        for k, start in zip(timeline.order, timeline.starts, strict=False)
        for note in part.notes.get(k, ())
        for at in (start + note.start,)
    ]
    # If two begin together, the first in the file leads; a grace note comes first.
    written.sort(key=lambda tone: (tone.start, not tone.note.grace))
    tones = tones_lib.joined(written)
    tones_lib.place_grace_notes(tones)
    is_played = ornaments == "played"
    return ornaments_lib.play(tones, timeline.tempi) if is_played else tones


def bar_lines(measures: Sequence[_Bar]) -> list[_Bar]:
    """Finds the time signatures that put bar lines where the score has them.

    Args:
        measures: length in quarter notes, numerator and denominator of each. The first
            may be a pickup, others halves of a bar.

    Returns:
        Start in quarter notes, numerator and denominator of each; the first at 0.
    """
    bars = _join_halves(measures or [(Fraction(4), 4, 4)])
    found: list[_Bar] = []
    start, expected = Fraction(0), None
    for index, (length, (numerator, denominator)) in enumerate(bars):
        full = Fraction(4 * numerator, denominator or 1)
        is_pickup = index == 0 and length < full
        # A short last bar (the pickup completes it) gets a full bar's time signature.
        is_cut = index == len(bars) - 1 and length < full
        signature = _signature_of(
            full if is_pickup or is_cut else length, denominator or 4
        )
        # Repeated if the bars of the one before would not lead here.
        if start != expected or found[-1][1:] != signature:
            found.append((start, *signature))
        expected = start + Fraction(4 * signature[0], signature[1])
        start += length
    return found


def _join_halves(measures: Sequence[_Bar]) -> list[tuple[Fraction, _Signature]]:
    """Makes one bar of two measures that a repeat sign has split."""
    bars: list[tuple[Fraction, _Signature]] = []
    for length, numerator, denominator in measures:
        full = Fraction(4 * numerator, denominator or 1)
        if bars[-1:] == [(full - length, (numerator, denominator))]:
            bars.pop()
            length = full
        bars.append((length, (numerator, denominator)))
    return bars


def _signature_of(length: Fraction, denominator: int) -> _Signature:
    """The time signature of a bar of this many quarter notes, if MIDI has one.

    MIDI has only powers of two; parsers guess others if a score names none.
    """
    for beat in (denominator, 4, 8, 16, 32, 64):
        count = length * beat / 4
        if beat in _MIDI_BEATS and count.denominator == 1 and 0 < count < 256:
            return int(count), beat
    return max(1, round(length * 4)), 16
