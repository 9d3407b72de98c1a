"""Notes as they sound: ties joined, grace notes with the time that they take.

Together, grace notes take a twelfth of a quarter note from the notes of their voice
that end where they are written; at the beginning, from the note they lead to.
"""

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from fractions import Fraction

from poph_tf.data.score import Note

_GRACE_TIME = Fraction(1, 12)


@dataclasses.dataclass(slots=True)
class Tone:
    """A note that sounds.

    Attributes:
        start, end: in quarter notes.
        note: as written; of tied notes the first, with the mark of any of them.
        written: where it is written, in quarter notes.
    """

    start: Fraction
    end: Fraction
    note: Note
    written: Fraction


def joined(written: Iterable[Tone]) -> list[Tone]:
    """Lengthens the first of tied notes and leaves out the others."""
    kept: list[Tone] = []
    # By pitch and end: a tie may change the voice.
    held: dict[tuple[int, Fraction], list[Tone]] = collections.defaultdict(list)
    for tone in written:
        note, before = tone.note, None
        waiting = held.get((note.pitch, tone.start))
        if note.ends_tie and waiting:
            before = waiting.pop(0)
            before.end = tone.end
            if note.mark and not before.note.mark:
                before.note = dataclasses.replace(
                    before.note, mark=note.mark, above=note.above, below=note.below
                )
        else:
            kept.append(tone)
        if note.starts_tie:
            held[note.pitch, tone.end].append(before or tone)
    return kept


def place_grace_notes(tones: Sequence[Tone]) -> None:
    """Gives grace notes their time, and takes it from their neighbours."""
    groups: dict[tuple[str, Fraction], list[Tone]] = collections.defaultdict(list)
    for tone in tones:
        if tone.note.grace:
            groups[tone.note.voice, tone.start].append(tone)
    if not groups:
        return
    ending, beginning = collections.defaultdict(list), collections.defaultdict(list)
    for tone in tones:
        if not tone.note.grace:
            ending[tone.note.voice, tone.end].append(tone)
            beginning[tone.note.voice, tone.start].append(tone)
    for place, group in groups.items():
        each = _GRACE_TIME / max(tone.note.grace for tone in group)
        first = place[1] - _GRACE_TIME
        if first < 0:
            first = place[1]
            for tone in beginning[place]:
                tone.start = min(first + _GRACE_TIME, (tone.start + tone.end) / 2)
        for tone in ending[place]:
            tone.end = max(first, (tone.start + tone.end) / 2)
        for tone in group:
            tone.start = first + each * (tone.note.grace - 1)
            tone.end = max(tone.end, tone.start + each)
