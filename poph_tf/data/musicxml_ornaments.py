"""Ornaments of MusicXML: their signs, and the notes above and below.

Source: https://www.w3.org/2021/06/musicxml40/musicxml-reference/elements/ornaments/
"""

import collections
import dataclasses
from collections.abc import Iterable
from fractions import Fraction
from xml.etree import ElementTree

from poph_tf.data import key_signatures
from poph_tf.data import musicxml_values as values
from poph_tf.data.score import Note
from poph_tf.theory import TONICS

Element = ElementTree.Element
_SIGNS = {
    "trill-mark": "trill",
    **{s: s for s in ("turn", "inverted-turn", "mordent", "inverted-mordent")},
}
_ACCIDENTALS = {
    "flat-flat": -2,
    "flat": -1,
    "natural": 0,
    "sharp": 1,
    "double-sharp": 2,
    "sharp-sharp": 2,
}
_LETTERS = "".join(TONICS)


@dataclasses.dataclass(frozen=True, slots=True)
class _Spelled:
    """A note as it is spelled; `degree` counts the white keys from C of octave 0."""

    note: Note
    element: Element
    staff: str
    degree: int
    alter: Fraction

    @classmethod
    def of(cls, note: Note, element: Element) -> "_Spelled":
        staff = element.findtext("staff", "1")
        letter = element.findtext("pitch/step", "").strip().upper()
        octave = values.integer(element.findtext("pitch/octave"), 4)
        alter = values.number(element.findtext("pitch/alter", "0"))
        degree = 7 * octave + _LETTERS.index(letter)
        return cls(note, element, staff, degree, alter)


def mark(element: Element) -> str:
    """The mark of a note, see `score.Note`."""
    notations = element.find("notations")
    if notations is None:
        return ""
    if notations.find("ornaments/tremolo") is not None:
        return "tremolo"
    if (signs := notations.find("ornaments")) is not None:
        known = [_SIGNS[sign.tag] for sign in signs if sign.tag in _SIGNS]
        return known[-1] if known else "ornament"
    if (arpeggio := notations.find("arpeggiate")) is not None:
        return "arpeggio-down" if arpeggio.get("direction") == "down" else "arpeggio"
    return "" if notations.find("non-arpeggiate") is None else "ornament"


def set_neighbours(notes: Iterable[tuple[Note, Element]], fifths: int) -> None:
    """Sets `above` and `below` of the notes of a measure that holds ornaments.

    The neighbours are those of the key, with accidentals from earlier in the measure or
    from the sign itself.

    Args:
        notes: the pitched notes of the measure, each with its element.
        fifths: sharps of the key, or flats if negative.
    """
    spelled = [_Spelled.of(*pair) for pair in notes]
    of_key = key_signatures.accidentals(fifths)
    alters = collections.defaultdict(list)
    for each in spelled:
        alters[each.staff, each.degree].append((each.note.start, each.alter))
    for each in spelled:
        signs = _accidentals(each.element, each.note.mark)
        for direction in (1, -1):
            degree = each.degree + direction
            earlier = [a for a in alters[each.staff, degree] if a[0] <= each.note.start]
            alter = of_key.get(_LETTERS[degree % 7], 0)
            if earlier:
                alter = round(max(earlier)[1])
            alter = signs.get(direction, alter)
            shift = _white(degree) + alter - _white(each.degree) - round(each.alter)
            if direction > 0:
                each.note.above = shift
            else:
                each.note.below = shift


def _accidentals(element: Element, mark: str) -> dict[int, int]:
    """The accidentals at an ornament, above (1) and below (-1)."""
    found = {}
    for sign in element.iterfind("notations/ornaments/accidental-mark"):
        is_below = mark == "mordent" or sign.get("placement") == "below"
        if (alter := _ACCIDENTALS.get((sign.text or "").strip())) is not None:
            found[-1 if is_below else 1] = alter
    return found


def _white(degree: int) -> int:
    """Semitones from C of octave 0 to a white key."""
    return 12 * (degree // 7) + TONICS[_LETTERS[degree % 7]]
