"""Reads Humdrum scores (**kern).

Each **kern spine is a part, the last one the highest, with notes at sounding pitch. The
order of sections (*>[A,A,B]) is the playing order if there is one; otherwise the repeat
signs of bar lines decide.

Source: https://www.humdrum.org/rep/kern/
"""

import dataclasses
import re
from collections.abc import Sequence
from fractions import Fraction

from poph_tf.data import key_signatures
from poph_tf.data.score import Note, Part, Score
from poph_tf.errors import MusicFileError
from poph_tf.theory import TONICS

_DURATION = re.compile(r"(\d{1,4})(?:%(\d{1,4}))?(\.{0,4})")
_PITCH = re.compile(r"([a-g]{1,6}|[A-G]{1,6})(#{1,3}|-{1,3}|)")
_SECTION = re.compile(r"\*>([\w ]+)$")
_KEY = re.compile(r"\*([A-Ga-g])[#-]?:([a-z]*)")
_ORDER = re.compile(r"\*>(\w*)\[(.*)\]$")
_SNARE_DRUM = 38
_MARKS = {
    "T": "trill",
    "M": "mordent",
    "W": "inverted-mordent",
    "S": "turn",
    "$": "inverted-turn",
    "O": "ornament",
}
_MAX_SPINES = 200


def parse(data: bytes, name: str) -> Score:
    """Reads the content of a score.

    Raises:
        MusicFileError: If it has no **kern spine, or a note that cannot be read.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    reader = _Reader()
    try:
        for line in text.splitlines():
            reader.line(line.rstrip())
        return reader.score()
    except MusicFileError as error:
        raise MusicFileError(name, error.reason) from None
    except (ValueError, ArithmeticError) as error:
        raise MusicFileError(name, f"not Humdrum that can be read ({error})") from None


@dataclasses.dataclass
class _Spine:
    """A column of the file.

    Attributes:
        part: its notes; None if it holds no **kern.
        voice: the number of its branch.
        end: where its last note ends, in quarter notes.
        grace: grace notes since then.
    """

    part: Part | None = None
    voice: int = 0
    end: Fraction = Fraction(0)
    grace: int = 0


class _Reader:
    """Reads a file line by line."""

    def __init__(self) -> None:
        self._score = Score()
        self._spines: list[_Spine] = []
        self._now = Fraction(0)
        self._bar = Fraction(0)  # where the measure begins
        self._number = 0

    def score(self) -> Score:
        if not self._score.parts:
            raise ValueError("no **kern")
        self._end_bar()
        self._score.parts.reverse()
        if self._score.order:
            for measure in self._score.measures:
                measure.times, measure.begins_repeat = 0, False
        return self._score

    def line(self, line: str) -> None:
        for sign, name in (("!!!OTL", "title"), ("!!!COM", "composer")):
            if line.startswith(sign) and not getattr(self._score, name):
                setattr(self._score, name, line.partition(":")[2].strip())
        if not line or line.startswith("!"):
            return
        tokens = line.split("\t")
        if line.startswith("**"):
            self._spines = [self._spine(token) for token in tokens]
        elif len(tokens) != len(self._spines):
            raise ValueError("a line with a different number of columns")
        elif line.startswith("*"):
            self._interpret(tokens)
        elif line.startswith("="):
            self._bar_line(tokens[0])
        else:
            self._data(tokens)

    def _spine(self, token: str) -> _Spine:
        if token != "**kern":
            return _Spine()
        part = Part()
        self._score.parts.append(part)
        return _Spine(part, end=self._now)

    def _interpret(self, tokens: Sequence[str]) -> None:
        for spine, token in zip(self._spines, tokens, strict=True):
            if spine.part:
                self._tandem(spine.part, token)
        if {"*^", "*v", "*-", "*+", "*x"}.intersection(tokens) or any(
            token.startswith("**") for token in tokens
        ):
            self._rearrange(tokens)

    def _rearrange(self, tokens: Sequence[str]) -> None:
        """Splits, joins, exchanges, adds and ends spines."""
        spines: list[_Spine] = []
        joined = False
        swapped: int | None = None
        for spine, token in zip(self._spines, tokens, strict=True):
            if token == "*v" and joined and spines and spines[-1].part is spine.part:
                spines[-1].end = max(spines[-1].end, spine.end)
                continue
            joined = token == "*v"
            if token == "*-":
                continue
            spines.append(self._spine(token) if token.startswith("**") else spine)
            if token == "*^":
                spines.append(dataclasses.replace(spine))
            elif token == "*+":
                spines.append(_Spine())
            elif token == "*x" and swapped is None:
                swapped = len(spines) - 1
            elif token == "*x" and swapped is not None:
                spines[swapped], spines[-1] = spines[-1], spines[swapped]
                swapped = None
        if len(spines) > _MAX_SPINES:
            raise ValueError("too many columns")
        counts: dict[int, int] = {}
        for spine in spines:
            spine.voice = counts.get(id(spine.part), 0)
            counts[id(spine.part)] = spine.voice + 1
        self._spines = spines

    def _tandem(self, part: Part, token: str) -> None:
        """Reads what applies to a part, or to the piece, from here on."""
        measure = self._score.measure(self._number)
        if found := re.match(r"\*M(\d{1,3})/(\d{1,3})", token):
            if int(found[1]) and int(found[2]):
                measure.metre = int(found[1]), int(found[2])
        elif token.startswith("*MX"):
            measure.metre = (0, 0)
        elif found := re.match(r"\*MM(\d{1,4}(\.\d+)?)", token):
            measure.tempi.append((self._now - self._bar, float(found[1])))
        elif found := re.match(r"\*k\[(.*)\]", token):
            sharps, flats = found[1].count("#"), found[1].count("-")
            measure.key = min(sharps, 7) - min(flats, 7), key_signatures.UNSAID
        elif (found := _KEY.match(token)) and measure.key:
            usual = "minor" if found[1].islower() else "major"
            mode = key_signatures.mode_of(found[2] or usual)
            measure.key = measure.key[0], mode
        elif token.startswith('*I"'):
            part.name = token[3:].strip()
        elif token.startswith("*clefX"):
            part.is_drum = True
        elif found := _ORDER.match(token):
            names = [name.strip() for name in found[2].split(",")]
            if found[1] == "norep":
                self._score.order_once = names
            elif not found[1] or not self._score.order:
                self._score.order = names
        elif found := _SECTION.match(token):
            self._end_bar()
            self._score.measure(self._number).label = found[1].strip()

    def _bar_line(self, token: str) -> None:
        self._end_bar()
        if re.search(r":[|!]", token) and self._number:
            self._score.measure(self._number - 1).times = 2
        if re.search(r"[|!]:", token):
            self._score.measure(self._number).begins_repeat = True

    def _end_bar(self) -> None:
        ends = [spine.end for spine in self._spines if spine.part]
        now = max(ends, default=self._now)
        if now > self._bar:
            self._score.measure(self._number).length = now - self._bar
            self._number += 1
        self._now = self._bar = now
        for spine in self._spines:
            spine.end = now

    def _data(self, tokens: Sequence[str]) -> None:
        kern = [(s, t) for s, t in zip(self._spines, tokens, strict=True) if s.part]
        for spine, token in kern:
            if token != ".":
                self._token(spine, token)
        # Columns with a held note say nothing: the next line begins at the first end.
        if kern:
            self._now = max(self._now, min(spine.end for spine, _ in kern))

    def _token(self, spine: _Spine, token: str) -> None:
        is_grace = "q" in token
        length = Fraction(0) if is_grace else _length(token)
        spine.grace = spine.grace + 1 if is_grace else 0
        for text in token.split():
            if "r" not in text and spine.part:
                self._note(spine, spine.part, text, length)
        if not is_grace:
            spine.end = self._now + length

    def _note(self, spine: _Spine, part: Part, text: str, length: Fraction) -> None:
        pitch = _SNARE_DRUM if part.is_drum else _pitch(text)
        if pitch is None:
            return
        note = Note(
            start=self._now - self._bar,
            length=length,
            pitch=pitch,
            voice=str(spine.voice),
            starts_tie="[" in text or "_" in text,
            ends_tie="]" in text or "_" in text,
            grace=spine.grace,
            is_drum=part.is_drum,
        )
        if sign := re.search(r"[TtMmWwS$O]", text):
            note.mark = _MARKS[sign[0].upper()]
            if sign[0].islower():  # a semitone
                note.above, note.below = 1, -1
        part.notes.setdefault(self._number, []).append(note)


def _length(token: str) -> Fraction:
    """Quarter notes: 4 is one, 0 a breve, 00 a long, 3%2 two thirds of a whole."""
    found = _DURATION.search(token)
    if not found:
        raise ValueError("a note without a duration")
    number, divisor, dots = found.groups()
    if not int(number):
        length = Fraction(4 * 2 ** len(number))
    else:
        length = Fraction(4 * int(divisor or 1), int(number))
    return length * (2 - Fraction(1, 2 ** len(dots)))


def _pitch(text: str) -> int | None:
    """MIDI number: c is 60, cc 72, C 48; None if the token has no pitch."""
    found = _PITCH.search(text)
    if not found:
        return None
    letters, signs = found.groups()
    octave = 4 + len(letters) if letters.islower() else 5 - len(letters)
    alter = signs.count("#") - signs.count("-")
    pitch = TONICS[letters[0].upper()] + 12 * octave + alter
    return pitch if 0 <= pitch <= 127 else None
