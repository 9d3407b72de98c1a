"""Scores: reads score files, and turns music21's scores into NoteSequences.

Conventions of `to_sequence`:
    - The music is what the score shows, each bar once: repeats are not played again,
      ties are merged, grace notes and chord symbols are left out.
    - Bar lines are where the score has them. After a pickup the time signature is
      repeated, which tells readers of the file (ours among them) that a bar begins; a
      bar split by a repeat sign counts as one bar; any other bar of unusual length has
      its own time signature.
    - Scores have no dynamics worth the name, so every note has the same velocity.
    - Positions are exact fractions of quarter notes until they become seconds.

music21 is not imported here; `to_sequence` reads its objects.
"""

import itertools
import warnings
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poph_tf.data.reading import read as read
from poph_tf.data.reading import read_all as read_all
from poph_tf.errors import MusicFileError

if TYPE_CHECKING:
    from note_seq import NoteSequence

VELOCITY = 80
_MIDI_BEATS = (1, 2, 4, 8, 16, 32, 64)
VOICES = ("Soprano", "Alto", "Tenor", "Bass")
# Pitch, start and end in quarter notes.
_Note = list[Any]
# Numerator and denominator.
_Signature = tuple[int, int]
# A length or a place in quarter notes, numerator and denominator.
_Bar = tuple[Fraction, int, int]


def to_sequence(
    score: Any,
    *,
    tempo_qpm: float = 120.0,
    four_voices: bool = False,
    path: str | Path = "score",
) -> "NoteSequence":
    """Turns a music21 score into a NoteSequence.

    Args:
        score: music21.stream.Score.
        tempo_qpm: quarter notes a minute until the score gives a tempo.
        four_voices: keep soprano, alto, tenor and bass only.
        path: the file's name, for messages.

    Returns:
        A sequence with an instrument for each part, time signatures and tempi.

    Raises:
        MusicFileError: If the score lacks the voices, or has no notes.
    """
    parts = list(score.parts) or [score]
    if four_voices:
        parts = [p for p in parts if _first_word(p.partName) in VOICES]
        if sorted(_first_word(p.partName) for p in parts) != sorted(VOICES):
            raise MusicFileError(path, f"not in four voices {', '.join(VOICES)}")
    notes = [_notes(part) for part in parts]
    if not any(notes):
        raise MusicFileError(path, "has no notes")
    signatures = bar_lines(_measures(parts[0]))
    return _sequence(parts, notes, signatures, _tempi(score, tempo_qpm))


def _first_word(text: str | None) -> str:
    return next(iter((text or "").split()), "")


def _notes(part: Any) -> list[_Note]:
    """The notes of a part, ties merged."""
    transposes = any(i.transposition for i in part.getElementsByClass("Instrument"))
    sounding = part.toSoundingPitch() if transposes else part
    notes: list[_Note] = []
    tied: dict[int, _Note] = {}  # by pitch: the note that a tie will lengthen
    for element in sounding.flatten().notes:
        if "ChordSymbol" in element.classes or "Unpitched" in element.classes:
            continue
        if element.quarterLength <= 0:  # a grace note
            continue
        start = Fraction(element.offset)
        end = start + Fraction(element.quarterLength)
        for tone in element.notes if element.isChord else [element]:
            kind = tone.tie.type if tone.tie else None
            note = tied.pop(tone.pitch.midi, None)
            if kind in ("continue", "stop") and note and note[2] == start:
                note[2] = end
            else:
                note = [tone.pitch.midi, start, end]
                notes.append(note)
            if kind in ("start", "continue"):
                tied[tone.pitch.midi] = note
    return notes


def _measures(part: Any) -> list[_Bar]:
    """Length, numerator and denominator of each measure, as written."""
    measures = list(part.getElementsByClass("Measure"))
    numerator, denominator, found = 4, 4, []
    for measure, following in itertools.zip_longest(measures, measures[1:]):
        if signature := measure.timeSignature:
            numerator, denominator = signature.numerator, signature.denominator
        # The next bar line decides, not the content of this part, which may be nothing.
        length = measure.highestTime
        if following is not None:
            length = following.offset - measure.offset
        if length > 0:
            found.append((Fraction(length), numerator, denominator))
    return found


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
        full = Fraction(4 * numerator, denominator)
        is_pickup = index == 0 and length < full
        # A last bar cut short (the pickup completes it) is full in its time signature.
        is_cut = index == len(bars) - 1 and length < full
        signature = _signature_of(full if is_pickup or is_cut else length, denominator)
        # Repeated where the bars of the one before would not lead here.
        if start != expected or found[-1][1:] != signature:
            found.append((start, *signature))
        expected = start + Fraction(4 * signature[0], signature[1])
        start += length
    return found


def _join_halves(measures: Sequence[_Bar]) -> list[tuple[Fraction, _Signature]]:
    """Makes one bar of two measures that a repeat sign has split."""
    bars: list[tuple[Fraction, _Signature]] = []
    for length, numerator, denominator in measures:
        before, same = bars[-1] if bars else (Fraction(0), (0, 0))
        full = Fraction(4 * numerator, denominator)
        if same == (numerator, denominator) and before + length == full:
            bars.pop()
            length = full
        bars.append((length, (numerator, denominator)))
    return bars


def _signature_of(length: Fraction, denominator: int) -> _Signature:
    """The time signature of a bar of so many quarter notes, as far as MIDI has one.

    MIDI has powers of two only; parsers guess others where a score names none.
    """
    for beat in (denominator, 4, 8, 16, 32, 64):
        count = length * beat / 4
        if beat in _MIDI_BEATS and count.denominator == 1 and 0 < count < 256:
            return int(count), beat
    return max(1, round(length * 4)), 16


def _tempi(score: Any, usual_qpm: float) -> list[tuple[Fraction, float]]:
    """(start in quarter notes, qpm) of each tempo, the first at 0."""
    marks = {}
    for mark in score.flatten().getElementsByClass("MetronomeMark"):
        quarters = mark.getQuarterBPM()
        if quarters and 10 <= quarters <= 400:
            marks[Fraction(mark.offset)] = float(quarters)
    marks.setdefault(Fraction(0), usual_qpm)
    return sorted(marks.items())


def _sequence(
    parts: Sequence[Any],
    notes: Sequence[list[_Note]],
    signatures: Sequence[_Bar],
    tempi: Sequence[tuple[Fraction, float]],
) -> "NoteSequence":
    # note-seq takes 1.6 s to import, and warns of players that are not needed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from note_seq.protobuf import music_pb2

    seconds = _clock(tempi)
    end = max(note[2] for part in notes for note in part)
    sequence = music_pb2.NoteSequence(ticks_per_quarter=480)
    for start, qpm in tempi:
        sequence.tempos.add(time=seconds(start), qpm=qpm)
    for start, numerator, denominator in signatures:
        if start < end:
            sequence.time_signatures.add(
                time=seconds(start), numerator=numerator, denominator=denominator
            )
    for index, (part, tones) in enumerate(zip(parts, notes, strict=True)):
        sequence.instrument_infos.add(instrument=index, name=part.partName or "")
        for pitch, start, stop in tones:
            note = sequence.notes.add(pitch=pitch, velocity=VELOCITY, instrument=index)
            note.start_time, note.end_time = seconds(start), seconds(stop)
    sequence.total_time = seconds(end)
    return sequence


def _clock(tempi: Sequence[tuple[Fraction, float]]) -> Callable[[Fraction], float]:
    """Makes the function from quarter notes to seconds along the tempi."""

    def seconds(quarters: Fraction) -> float:
        total = 0.0
        for (start, qpm), after in itertools.zip_longest(tempi, tempi[1:]):
            stop = min(quarters, after[0]) if after else quarters
            if stop > start:
                total += float(stop - start) * 60.0 / qpm
        return total

    return seconds
