"""Reads the fields of a tune in ABC notation: key, metre, unit, tempo, voices, parts.

Source: https://abcnotation.com/wiki/abc:standard:v2.1 (information fields).
"""

import dataclasses
import re
from collections.abc import Sequence
from fractions import Fraction

from poph_tf.data import abc_fields
from poph_tf.data.score import Measure, Note, Part, Score

# A pitch that an accidental changes, or a tie holds: letter and octave.
Place = tuple[str, int]


@dataclasses.dataclass
class Voice:
    """The current position and state of a voice.

    Attributes:
        part: its notes.
        unit: the unit length in quarter notes.
        key: semitones by letter.
        shift: semitones from written to sounding pitch.
        measure: the number of the current bar.
        at: quarter notes since the beginning of the bar.
        layer: the number of its overlay (&).
        accidentals: those of this bar, in semitones.
        ties: pitches that are tied to the next note.
        ties_at_ending: those before the first alternative ending.
        endings: the passes in which the bars from here on are played.
        tuplet: notes left in the tuplet, and the factor of their lengths.
        factor: that of a broken rhythm for the next length.
        last: the last notes, and their length.
    """

    part: Part
    unit: Fraction
    key: dict[str, Fraction]
    shift: int = 0
    measure: int = 0
    at: Fraction = Fraction(0)
    layer: int = 0
    accidentals: dict[Place, Fraction] = dataclasses.field(default_factory=dict)
    ties: dict[Place, int] = dataclasses.field(default_factory=dict)
    ties_at_ending: dict[Place, int] = dataclasses.field(default_factory=dict)
    endings: frozenset[int] = frozenset()
    tuplet: tuple[int, Fraction] = (0, Fraction(1))
    factor: Fraction = Fraction(1)
    last: tuple[list[Note], Fraction] = dataclasses.field(
        default_factory=lambda: ([], Fraction(0))
    )


class FieldReader:
    """Reads the fields of a tune, for all voices and for each one."""

    def __init__(self) -> None:
        self._score = Score()
        self._voices: dict[str, Voice] = {}
        self._in_header = True
        self._in_text = False
        self._unit: Fraction | None = None
        self._metre: tuple[int, int] | None = None
        self._key = ""
        self._tempo = ""
        self._scope = "pitch"
        self._instructions: list[Sequence[str]] = []  # %%MIDI, for all voices
        self._voice: Voice | None = None

    def _directive(self, text: str) -> None:
        name, *words = text.split() or [""]
        if name.startswith(("begin", "end")):
            self._in_text = name.startswith("begin")
        elif name == "propagate-accidentals" and words:
            self._scope = words[0]
        elif name.lower() == "midi":
            self._midi(words)

    def _midi(self, words: Sequence[str]) -> None:
        if self._voice is None and self._in_header:
            self._instructions.append(words)
        else:
            self._instruct(self._current(), words)

    def _instruct(self, voice: Voice, words: Sequence[str]) -> None:
        if len(words) < 2 or not re.fullmatch(r"[+-]?\d{1,3}", words[-1]):
            return
        number = int(words[-1])
        if words[0] == "program":
            voice.part.program = min(max(number, 0), 127)
        elif words[0] == "transpose":
            voice.shift += number
        elif words[0] == "channel":
            voice.part.is_drum = number == 10

    # Fields.

    def _field(self, name: str, text: str) -> None:
        readers = {
            "K": self._read_key,
            "L": self._read_unit,
            "M": self._read_metre,
            "Q": self._read_tempo,
            "V": self._read_voice,
            "P": self._read_part,
        }
        if name == "T" and self._in_header:
            self._score.title = self._score.title or text
        elif name == "C" and self._in_header:
            self._score.composer = self._score.composer or text
        elif name == "I":
            self._directive(text)
        elif name in readers:
            readers[name](text)

    def _read_key(self, text: str) -> None:
        if self._in_header:
            self._key, self._in_header = text or "none", False
            self._begin()
            return
        self._set_key(self._current(), text)

    def _set_key(self, voice: Voice, text: str) -> None:
        if (named := abc_fields.key(text)) is not None:
            voice.key = abc_fields.accidentals(text, named[0])
            self._measure(voice).key = named
        elif re.match(r"\s*(exp\b|[\^_=])", text):
            voice.key = voice.key | abc_fields.accidentals(text, 0)
        if (shift := abc_fields.shift(text)) is not None:
            voice.shift = shift

    def _begin(self) -> None:
        """Applies the header to all voices."""
        measure = self._score.measure(0)
        measure.metre = self._metre or (0, 0)
        if self._tempo:
            self._add_tempo(measure, Fraction(0), self._tempo, self._usual_unit())
        for voice in self._voices.values():
            voice.unit = self._usual_unit()
            own_shift = voice.shift
            self._set_key(voice, self._key)
            voice.shift = own_shift or voice.shift
        if self._voices:
            self._voice = next(iter(self._voices.values()))

    def _usual_unit(self) -> Fraction:
        return self._unit or abc_fields.usual_unit_length(self._metre)

    def _read_unit(self, text: str) -> None:
        unit = abc_fields.unit_length(text)
        if unit and self._in_header:
            self._unit = unit
        elif unit:
            self._current().unit = unit

    def _read_metre(self, text: str) -> None:
        metre = abc_fields.metre(text)
        if self._in_header:
            self._metre = metre or self._metre
        elif metre:
            self._measure(self._current()).metre = metre

    def _read_tempo(self, text: str) -> None:
        if self._in_header:
            self._tempo = text
        else:
            voice = self._current()
            self._add_tempo(self._measure(voice), voice.at, text, voice.unit)

    def _add_tempo(
        self, measure: Measure, at: Fraction, text: str, unit: Fraction
    ) -> None:
        if qpm := abc_fields.tempo(text, unit):
            measure.tempi.append((at, qpm))

    def _read_voice(self, text: str) -> None:
        key, name = abc_fields.properties(text)
        if not key or key == "*":
            return
        if key not in self._voices:
            part = Part()
            self._score.parts.append(part)
            self._voices[key] = voice = Voice(part, self._usual_unit(), {})
            for words in self._instructions:
                self._instruct(voice, words)
            if not self._in_header:
                self._set_key(voice, self._key)
        self._voice = voice = self._voices[key]
        voice.part.name = name or voice.part.name
        if (shift := abc_fields.shift(text)) is not None:
            voice.shift = shift

    def _read_part(self, text: str) -> None:
        if self._in_header:
            self._score.order = abc_fields.order_of_parts(text)
        elif label := text.strip()[:1]:
            self._measure(self._current()).label = label

    def _current(self) -> Voice:
        if self._voice is None:
            self._read_voice("1")
        assert self._voice is not None
        return self._voice

    def _measure(self, voice: Voice) -> Measure:
        return self._score.measure(voice.measure)
