"""Ornaments as players play them: trills, turns, mordents, arpeggios.

Conventions, those of MuseScore:
    - All notes of a chord have its trill, turn or mordent, each with its neighbours.
    - The notes of an ornament are 32nds, halved where the tempo would make them slower
      than eight per second, and shorter still if too few fit into the written note; if
      they would be faster than 64 per second, the note stays as written.
    - A trill begins with the written note and ends with the note above; the last note
      of a turn or mordent lasts to the end of the written one.
    - The notes of an arpeggio begin a 15th of a second apart, less if it is too short
      for that, and all last to its end. Notes without the sign keep their time.
"""

import bisect
import collections
import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

from poph_tf.data.tones import Tone

Ornaments = Literal["written", "played"]
_UNIT = Fraction(1, 8)
_SLOWEST, _FASTEST = 8, 64
# Most notes of a trill; a broken file may ask for millions.
_MOST = 1024
# From one note of an arpeggio to the next, in seconds.
_ROLL = Fraction(1, 15)
# The notes of each: the written one (0), its neighbour above (1) or below (-1).
_PATTERNS = {
    "trill": (0, 1, 0, 1),
    "turn": (1, 0, -1, 0),
    "inverted-turn": (-1, 0, 1, 0),
    "mordent": (0, -1, 0),
    "inverted-mordent": (0, 1, 0),
}


def play(
    tones: Sequence[Tone], tempi: Sequence[tuple[Fraction, float]]
) -> Sequence[Tone]:
    """Plays the ornaments of a part.

    Args:
        tones: the notes of the part, ornaments as written.
        tempi: start in quarter notes and qpm of each tempo, the first at 0.

    Returns:
        The notes in order of time, including those of ornaments.
    """
    chords = collections.defaultdict(list)
    for tone in tones:
        if not tone.note.grace:
            chords[tone.note.voice, tone.written].append(tone)
    starts = [start for start, _ in tempi]
    played = [tone for tone in tones if tone.note.grace]
    for (_, start), chord in chords.items():
        mark = next((tone.note.mark for tone in chord if tone.note.mark), "")
        qpm = tempi[bisect.bisect_right(starts, start) - 1][1]
        per_second = Fraction(qpm).limit_denominator(1000) / 60
        if mark.startswith("arpeggio"):
            marked = [tone for tone in chord if tone.note.mark == mark]
            _roll(marked, _ROLL * per_second, is_down=mark.endswith("down"))
        elif pattern := _PATTERNS.get(mark):
            repeats = mark == "trill"
            chord = [
                part
                for tone in chord
                for part in _ornament(tone, pattern, per_second, repeats)
            ]
        played += chord
    return sorted(played, key=lambda tone: (tone.start, not tone.note.grace))


def _ornament(
    tone: Tone, pattern: Sequence[int], per_second: Fraction, repeats: bool
) -> Iterator[Tone]:
    """The notes of an ornament, at `per_second` quarter notes per second."""
    length = tone.end - tone.start
    unit = _UNIT
    while unit * _SLOWEST > per_second:
        unit /= 2
    unit = min(unit, length / len(pattern))
    shifts = {0: 0, 1: tone.note.above, -1: tone.note.below}
    pitches = [tone.note.pitch + shifts[step] for step in pattern]
    is_too_fast = unit * _FASTEST < per_second
    if is_too_fast or tone.note.is_drum or not 0 <= min(pitches) <= max(pitches) <= 127:
        yield tone
        return
    count = min(int(length / unit) // 2 * 2, _MOST) if repeats else len(pattern)
    for k in range(count):
        start = tone.start + k * unit
        yield dataclasses.replace(
            tone,
            start=start,
            end=tone.end if k + 1 == count else start + unit,
            note=dataclasses.replace(tone.note, pitch=pitches[k % len(pitches)]),
        )


def _roll(chord: Sequence[Tone], step: Fraction, is_down: bool) -> None:
    """Makes the notes of an arpeggio begin one after another, `step` quarters apart."""
    length = min(tone.end - tone.start for tone in chord)
    step = min(step, length / len(chord))
    ordered = sorted(chord, key=lambda tone: tone.note.pitch, reverse=is_down)
    for k, tone in enumerate(ordered):
        tone.start += k * step
