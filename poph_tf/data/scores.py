"""Turns scores that music21 has parsed into NoteSequences.

Conventions:
    - What is written is what the score shows, each bar once: repeats are not played
      again, ties are merged, grace notes and chord symbols are left out.
    - Bar lines are where the score has them. After a pickup the time signature is
      said again, which tells readers of the file (ours among them) that a bar begins;
      a bar split by a repeat sign counts as one bar; any other bar of unusual length
      has its own time signature.
    - Scores have no dynamics worth the name, so every note has the same velocity.
    - Positions are exact fractions of quarter notes until they become seconds.

music21 is not imported here: what comes in is its objects.
"""

import fractions
import warnings

from poph_tf.errors import MusicFileError

VELOCITY = 80
_MIDI_BEATS = (1, 2, 4, 8, 16, 32, 64)
VOICES = ("Soprano", "Alto", "Tenor", "Bass")


def to_sequence(score, *, tempo_qpm=120.0, four_voices=False, path="score"):
    """Turns a music21 score into a NoteSequence.

    Args:
        score: music21.stream.Score.
        tempo_qpm: float. Quarter notes per minute until the score gives a tempo.
        four_voices: bool. Keep soprano, alto, tenor and bass only.
        path: str or path. For messages.

    Returns:
        NoteSequence with an instrument for each part, time signatures and tempi.

    Raises:
        MusicFileError: If the score has not the parts asked for, or no notes.
    """
    parts = list(score.parts) or [score]
    if four_voices:
        parts = [p for p in parts if _first_word(p.partName) in VOICES]
        if sorted(_first_word(p.partName) for p in parts) != sorted(VOICES):
            raise MusicFileError(path, f"not in four voices {', '.join(VOICES)}")
    notes = [_notes(part) for part in parts]
    if not any(notes):
        raise MusicFileError(path, "has no notes")
    metres = bar_lines(_measures(parts[0]))
    return _sequence(parts, notes, metres, _tempi(score, tempo_qpm))


def _first_word(text):
    return (text or "").split()[0] if (text or "").split() else ""


def _notes(part):
    """Lists `[pitch, start, end]` in quarter notes, ties merged."""
    tuning = part.toSoundingPitch() if _transposes(part) else part
    notes, tied = [], {}  # tied: pitch -> the note that a tie will lengthen
    for element in tuning.flatten().notes:
        if "ChordSymbol" in element.classes or "Unpitched" in element.classes:
            continue
        if element.quarterLength <= 0:  # a grace note
            continue
        start = fractions.Fraction(element.offset)
        end = start + fractions.Fraction(element.quarterLength)
        for tone in element.notes if element.isChord else [element]:
            kind = tone.tie.type if tone.tie else None
            before = tied.pop(tone.pitch.midi, None)
            if kind in ("continue", "stop") and before and before[2] == start:
                before[2], note = end, before
            else:
                note = [tone.pitch.midi, start, end]
                notes.append(note)
            if kind in ("start", "continue"):
                tied[tone.pitch.midi] = note
    return notes


def _transposes(part):
    return any(i.transposition for i in part.getElementsByClass("Instrument"))


def _measures(part):
    """Lists `(length, numerator, denominator)` of each measure, as written."""
    measures = list(part.getElementsByClass("Measure"))
    metre, found = (4, 4), []
    for index, measure in enumerate(measures):
        if measure.timeSignature:
            metre = measure.timeSignature.numerator, measure.timeSignature.denominator
        # By the next bar line, not by what is in this part, which may be nothing.
        if index + 1 < len(measures):
            length = measures[index + 1].offset - measure.offset
        else:
            length = measure.highestTime
        if length > 0:
            found.append((fractions.Fraction(length), *metre))
    return found


def bar_lines(measures):
    """Finds the time signatures that put bar lines where the score has them.

    Args:
        measures: list of (length, numerator, denominator), lengths as Fractions of
            quarter notes. The first may be a pickup, others halves of a bar.

    Returns:
        list of (start, numerator, denominator), starts in quarter notes, first 0.
    """
    bars = _join_halves(measures or [(fractions.Fraction(4), 4, 4)])
    # A last bar cut short (the pickup makes it up) needs no metre of its own.
    bars[-1][0] = max(bars[-1][0], _full(*bars[-1][1:]))
    metres, start, expected = [], fractions.Fraction(0), None
    for index, (length, numerator, denominator) in enumerate(bars):
        full = _full(numerator, denominator)
        pickup = index == 0 and length < full
        metre = _metre_of(full if pickup else length, denominator)
        # Said again where the bars of the one before would not lead here.
        if start != expected or metres[-1][1:] != metre:
            metres.append((start, *metre))
        expected = start + _full(*metre)
        start += length
    return metres


def _full(numerator, denominator):
    return fractions.Fraction(4 * numerator, denominator)


def _join_halves(measures):
    """Makes one bar of two measures that a repeat sign has split."""
    bars = []
    for length, *metre in measures:
        if bars and bars[-1][1:] == metre and bars[-1][0] + length == _full(*metre):
            bars[-1][0] += length
        else:
            bars.append([length, *metre])
    return bars


def _metre_of(length, denominator):
    """The time signature of a bar of so many quarter notes, as far as MIDI can say it.

    MIDI knows powers of two only; parsers guess others where a score names no metre.
    """
    for beat in (denominator, 4, 8, 16, 32, 64):
        count = length * beat / 4
        if beat in _MIDI_BEATS and count.denominator == 1 and 0 < count < 256:
            return int(count), beat
    return max(1, round(length * 4)), 16


def _tempi(score, usual_qpm):
    """Lists `(start, qpm)`, starts in quarter notes, the first at 0."""
    marks = {}
    for mark in score.flatten().getElementsByClass("MetronomeMark"):
        quarters = mark.getQuarterBPM()
        if quarters and 10 <= quarters <= 400:
            marks[fractions.Fraction(mark.offset)] = float(quarters)
    marks.setdefault(fractions.Fraction(0), usual_qpm)
    return sorted(marks.items())


def _sequence(parts, notes, metres, tempi):
    music_pb2 = _note_seq_protobuf()
    seconds = _clock(tempi)
    end = max(note[2] for part in notes for note in part)
    sequence = music_pb2.NoteSequence(ticks_per_quarter=480)
    for start, qpm in tempi:
        sequence.tempos.add(time=seconds(start), qpm=qpm)
    for start, numerator, denominator in metres:
        if start < end:
            sequence.time_signatures.add(
                time=seconds(start), numerator=numerator, denominator=denominator
            )
    for index, (part, tones) in enumerate(zip(parts, notes, strict=True)):
        sequence.instrument_infos.add(instrument=index, name=part.partName or "")
        for pitch, start, stop in tones:
            sequence.notes.add(
                pitch=pitch,
                velocity=VELOCITY,
                start_time=seconds(start),
                end_time=seconds(stop),
                instrument=index,
            )
    sequence.total_time = seconds(end)
    return sequence


def _note_seq_protobuf():
    """note-seq takes 1.6 s to import, so late; and warns of players we do not need."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from note_seq.protobuf import music_pb2
    return music_pb2


def _clock(tempi):
    """Makes the function from quarter notes to seconds along `(start, qpm)`."""

    def seconds(quarters):
        total = 0.0
        for (start, qpm), after in zip(tempi, tempi[1:] + [None], strict=True):
            stop = min(quarters, after[0]) if after else quarters
            if stop > start:
                total += float(stop - start) * 60.0 / qpm
        return total

    return seconds
