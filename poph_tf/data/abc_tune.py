"""Reads one tune in ABC notation.

    - An accidental holds to the end of its bar, in all octaves, unless the tune says
      otherwise (propagate-accidentals); a tie carries it over the bar line.
    - Fields within the tune apply to the voice in which they appear.
    - Decorations, chord symbols, words and layout are ignored.

Source: https://abcnotation.com/wiki/abc:standard:v2.1 (the tune body).
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from poph_tf.data import abc_fields
from poph_tf.data.abc_voices import FieldReader, Place, Voice
from poph_tf.data.score import Note, Score
from poph_tf.errors import MusicFileError
from poph_tf.theory import TONICS

_LENGTH = r"\d*/*\d*"
_SIGN = r"(?P<sign>(?:\^{1,2}|_{1,2}|=)?(?:(?<=[\^_])\d*/\d*)?)"
_PITCH = rf"{_SIGN}(?P<letter>[A-Ga-g])(?P<octave>[,']*)"
_TOKENS = re.compile(
    r'"[^"]*"'
    r"|!(?P<mark>[^!\s|]*)!|\+[a-zA-Z.]{2,}\+"
    r"|\[(?P<field>[A-Za-z]):(?P<content>[^\]]*)\]"
    r"|(?P<bar>:*\.?(?:\|\]|\[\||\|)+\]?:*|::+)(?P<number>\[?\d[\d,-]*)?"
    r"|\[(?P<ending>\d[\d,-]*)"
    r"|\{/?(?P<grace>[^}]*)\}"
    r"|\((?P<p>\d)(?::(?P<q>\d*))?(?::(?P<r>\d*))?"
    rf"|\[(?P<chord>[^\]|]*)\](?P<chord_length>{_LENGTH})(?P<chord_tie>\s*-)?"
    rf"|{_PITCH}(?P<length>{_LENGTH})(?P<tie>\s*-)?"
    rf"|(?P<rest>[zxZX])(?P<rest_length>{_LENGTH})"
    r"|(?P<broken><+|>+)|(?P<overlay>&)|(?P<sign_of>[OS])"
)
_NOTES = re.compile(rf"{_PITCH}(?P<length>{_LENGTH})(?P<tie>-)?")
_FIELD = re.compile(r"([A-Za-z+]):(?![|:])(.*)")
_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
_MAX_REST_BARS = 1000
_MARKS = {
    "segno": "segno",
    "coda": "coda",
    "fine": "fine",
    "dacoda": "to_coda",
    "tocoda": "to_coda",
    "dacapo": "da_capo",
    "d.c.": "da_capo",
    "d.s.": "dal_segno",
}


def parse(lines: Sequence[str], name: str) -> Score:
    """Reads the lines of a tune, header and music.

    Raises:
        MusicFileError: If the tune has too many bars.
    """
    reader = _TuneReader()
    for line in lines:
        reader.line(line)
    try:
        return reader.score()
    except MusicFileError as error:
        raise MusicFileError(name, error.reason) from None


class _TuneReader(FieldReader):
    """Reads a tune line by line."""

    def score(self) -> Score:
        for voice in self._voices.values():
            self._end_bar(voice)
        return self._score

    def line(self, line: str) -> None:
        if line.startswith("%%"):
            self._directive(line[2:].strip())
            return
        line = re.sub(r"(?<!\\)%.*", "", line)
        if self._in_text or not line:
            return
        if found := _FIELD.match(line):
            self._field(found[1], found[2].strip())
        elif not self._in_header or self._key:
            self._in_header = False
            self._music(line)

    # Music.

    def _music(self, line: str) -> None:
        for token in _TOKENS.finditer(line):
            kind = token.lastgroup or ""
            if token["letter"]:
                self._sound(token[0], token["length"], bool(token["tie"]))
            elif token["chord"] is not None:
                length, tie = token["chord_length"], bool(token["chord_tie"])
                self._sound(token["chord"], length, tie, is_chord=True)
            elif token["rest"]:
                self._rest(token["rest"], token["rest_length"])
            elif token["bar"]:
                self._bar(token["bar"], token["number"])
            elif token["ending"]:
                self._ending(self._current(), token["ending"])
            elif token["field"]:
                self._field(token["field"], token["content"].strip())
            elif token["grace"]:
                self._grace(token["grace"])
            elif token["p"]:
                self._tuplet(int(token["p"]), token["q"], token["r"])
            elif kind == "broken":
                self._break(token[0])
            elif kind == "overlay":
                voice = self._current()
                voice.at, voice.layer = Fraction(0), voice.layer + 1
            elif kind in ("mark", "sign_of"):
                self._mark(token[0].strip("!").lower())

    def _mark(self, text: str) -> None:
        text = {"o": "coda", "s": "segno"}.get(text, text)
        for start, attribute in _MARKS.items():
            if text.startswith(start):
                setattr(self._measure(self._current()), attribute, True)

    def _sound(
        self, text: str, length: str, is_tied: bool, *, is_chord: bool = False
    ) -> None:
        """Adds a note, or a chord, which is as long as its first note."""
        voice = self._current()
        tones = list(_NOTES.finditer(re.sub(r'"[^"]*"|![^!]*!', "", text)))
        if not tones:
            return
        outer = abc_fields.length(length) if is_chord else Fraction(1)
        factor = outer * voice.unit * self._take_factor(voice)
        held, voice.ties = voice.ties, {}
        notes = []
        for tone in tones:
            note = self._note(voice, tone, held)
            note.length = abc_fields.length(tone["length"]) * factor
            note.starts_tie = is_tied or bool(tone["tie"])
            if note.starts_tie:
                place = _place(tone)
                voice.ties[place] = note.pitch
            notes.append(note)
        self._add(voice, notes)
        self._advance(voice, notes, notes[0].length)

    def _note(self, voice: Voice, tone: re.Match[str], held: dict[Place, int]) -> Note:
        place, sign = _place(tone), tone["sign"]
        letter, octave = place
        where = (letter, octave if self._scope == "octave" else 0)
        if sign:
            alter = abc_fields.accidental(sign)
            if self._scope != "not":
                voice.accidentals[where] = alter
        else:
            alter = voice.accidentals.get(where, voice.key.get(letter, Fraction(0)))
        if alter.denominator != 1:
            self._score.repairs["microtones rounded"] += 1
        pitch = TONICS[letter] + 12 * octave + round(alter) + voice.shift
        if not sign and place in held:
            pitch = held[place]
        return Note(
            start=voice.at,
            length=Fraction(0),
            pitch=pitch,
            voice=str(voice.layer),
            ends_tie=held.get(place) == pitch,
            program=voice.part.program,
            is_drum=voice.part.is_drum,
        )

    def _add(self, voice: Voice, notes: Sequence[Note]) -> None:
        kept = [note for note in notes if 0 <= note.pitch <= 127]
        beyond = len(notes) - len(kept)
        if beyond:
            self._score.repairs["notes beyond MIDI's pitches left out"] += beyond
        self._measure(voice)
        voice.part.notes.setdefault(voice.measure, []).extend(kept)

    def _take_factor(self, voice: Voice) -> Fraction:
        """The factor of tuplets and broken rhythms for the next length."""
        left, ratio = voice.tuplet
        factor, voice.factor = voice.factor, Fraction(1)
        if left <= 0:
            return factor
        voice.tuplet = (left - 1, ratio)
        return factor * ratio

    def _advance(self, voice: Voice, notes: list[Note], length: Fraction) -> None:
        voice.last = (notes, length)
        voice.at += length
        measure = self._measure(voice)
        measure.length = max(measure.length, voice.at)
        measure.endings |= voice.endings

    def _rest(self, kind: str, length: str) -> None:
        voice = self._current()
        voice.ties = {}
        if kind in "zx":
            factor = voice.unit * self._take_factor(voice)
            self._advance(voice, [], abc_fields.length(length) * factor)
            return
        bars = min(int(abc_fields.length(length)), _MAX_REST_BARS)
        for k in range(bars):
            if k:
                self._end_bar(voice)
            self._advance(voice, [], self._bar_length(voice))

    def _bar_length(self, voice: Voice) -> Fraction:
        beats, unit = self._metre_of(voice)
        return Fraction(4 * beats, unit) if unit else Fraction(4)

    def _metre_of(self, voice: Voice) -> tuple[int, int]:
        """The metre of the bar that a voice is in."""
        metres = (m.metre for m in self._score.measures[voice.measure :: -1] if m.metre)
        return next(metres, (4, 4))

    def _grace(self, text: str) -> None:
        voice = self._current()
        held = dict(voice.accidentals)
        tones = list(_NOTES.finditer(text))
        notes = [self._note(voice, tone, {}) for tone in tones]
        for k, note in enumerate(notes, 1):
            note.grace = k
        voice.accidentals = held
        self._add(voice, notes)

    def _tuplet(self, p: int, q: str | None, r: str | None) -> None:
        if not p:
            return
        voice = self._current()
        beats, _ = self._metre_of(voice)
        usual = _TUPLETS.get(p, 3 if beats in (6, 9, 12) else 2)
        in_time = int(q) if q and int(q) else usual
        count = int(r) if r and int(r) else p
        voice.tuplet = (count, Fraction(in_time, p))

    def _break(self, signs: str) -> None:
        """Lengthens the note before and shortens the next, or the other way round."""
        voice = self._current()
        short = Fraction(1, 2 ** min(len(signs), 5))
        factors = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        notes, length = voice.last
        for note in notes:
            note.length *= factors[0]
        measure = self._measure(voice)
        at_end = measure.length == voice.at
        if voice.at:
            voice.at += length * (factors[0] - 1)
            if at_end:
                measure.length = voice.at
        voice.last = ([], Fraction(0))
        voice.factor = factors[1]

    # Bars.

    def _bar(self, text: str, ending: str | None) -> None:
        voice = self._current()
        before, _, behind = text.partition("|")
        if "|" not in text:  # "::"
            before, behind = text[: len(text) // 2], text[len(text) // 2 :]
        ended, begun = before.count(":"), behind.count(":")
        self._end_bar(voice)
        if voice.measure and ended:
            finished = self._score.measure(voice.measure - 1)
            finished.times = max(finished.times, ended + 1)
        if begun:
            self._measure(voice).begins_repeat = True
        if ended or begun or len(text) > 1:
            voice.endings = frozenset()
        if ending:
            self._ending(voice, ending.lstrip("["))

    def _ending(self, voice: Voice, text: str) -> None:
        numbers: set[int] = set()
        for first, last in re.findall(r"(\d{1,2})(?:-(\d{1,2}))?", text):
            numbers.update(range(int(first), int(last or first) + 1))
        if 1 in numbers:
            voice.ties_at_ending = dict(voice.ties)
        else:
            voice.ties = dict(voice.ties_at_ending)
        voice.endings = frozenset(numbers)

    def _end_bar(self, voice: Voice) -> None:
        if voice.at or voice.layer:
            self._measure(voice).ends.append(voice.at)
            voice.measure += 1
        voice.at, voice.layer, voice.accidentals = Fraction(0), 0, {}


def _place(tone: re.Match[str]) -> Place:
    """Letter, and octave counted as in MIDI numbers: C is in octave 5."""
    letter, marks = tone["letter"], tone["octave"]
    octave = 5 + letter.islower() + marks.count("'") - marks.count(",")
    return letter.upper(), octave
