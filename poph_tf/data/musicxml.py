"""Reads MusicXML, plain or compressed, partwise or timewise.

The file is read as a stream, a measure at a time. What is not music (layout, lyrics,
chord symbols) is skipped unread, so that errors in it do no harm.

    - Pitches are sounding pitches: parts are transposed, microtones rounded.
    - Cue notes are silent, tremolos are their notes, other ornaments are marked.
    - Tempo marks, metres and repeats apply to all parts, wherever they appear.
    - Parts on unpitched staves, or on MIDI channel 10, are drums.

Source: https://www.w3.org/2021/06/musicxml40/musicxml-reference/elements/
"""

import collections
import dataclasses
import io
import re
from fractions import Fraction
from xml.etree import ElementTree

from poph_tf.data import credits, key_signatures, musicxml_ornaments, xml_text
from poph_tf.data import musicxml_values as values
from poph_tf.data.score import Measure, Note, Part, Score
from poph_tf.errors import MusicFileError, kind_of
from poph_tf.theory import TONICS

Element = ElementTree.Element
# The length of each note type in quarter notes.
_TYPES = {
    name: Fraction(32, 2**k)
    for k, name in enumerate(
        (
            *("maxima", "long", "breve", "whole", "half", "quarter", "eighth"),
            *("16th", "32nd", "64th", "128th", "256th", "512th", "1024th"),
        )
    )
}
_DRUM_CHANNEL, _SNARE_DRUM = 10, 38
_MIN_SMALL_PRINT = 64
_SOUNDS = {
    "dacapo": "da_capo",
    "dalsegno": "dal_segno",
    "tocoda": "to_coda",
    "fine": "fine",
    "segno": "segno",
    "coda": "coda",
}


def parse(data: bytes, name: str) -> Score:
    """Reads the content of a score.

    Args:
        data: plain or compressed (.mxl).
        name: the file's name in error messages.

    Raises:
        MusicFileError: If it cannot be read.
    """
    try:
        return _Reader().read(xml_text.as_utf8(values.unpacked(data, name)))
    except (ElementTree.ParseError, ValueError, ArithmeticError, KeyError) as error:
        if isinstance(error, MusicFileError):
            raise MusicFileError(name, error.reason) from None
        reason = f"not MusicXML that can be read ({kind_of(error)})"
        raise MusicFileError(name, reason) from None


@dataclasses.dataclass
class _PartState:
    """The state that a part keeps from one measure to the next."""

    part: Part
    programs: dict[str, int] = dataclasses.field(default_factory=dict)
    drums: dict[str, int] = dataclasses.field(default_factory=dict)
    divisions: Fraction = Fraction(1)
    transposition: dict[str, int] = dataclasses.field(default_factory=dict)
    endings: frozenset[int] = frozenset()
    num_staves: int = 1
    fifths: int = 0
    # Small notes with the numbers of their measures.
    cues: list[tuple[int, Note]] = dataclasses.field(default_factory=list)
    # The first note of a two-note tremolo.
    tremolo: Note | None = None


class _Reader:
    """Reads a score, measure by measure."""

    def __init__(self) -> None:
        self._score = Score()
        self._parts: dict[str, _PartState] = {}
        self._numbers: collections.Counter[str] = collections.Counter()

    def read(self, data: bytes) -> Score:
        ids: list[str] = []  # of the open parts
        depth = 0
        inner = "measure"
        for event, element in ElementTree.iterparse(io.BytesIO(data), ("start", "end")):
            tag = element.tag = element.tag.rpartition("}")[2]
            if event == "start":
                depth += 1
                if depth == 1 and not tag.startswith("score"):
                    raise ValueError("no score")
                inner = "part" if tag == "score-timewise" else inner
                if tag == "part" and depth <= 3:
                    ids.append(element.get("id", ""))
                continue
            depth -= 1
            if tag == inner and depth == 2 and ids:
                self._measure(ids[-1], element)
            if tag in ("part", "measure") and depth <= 2:
                element.clear()
            elif tag == "score-part":
                self._score_part(element)
            elif tag in ("work-title", "movement-title", "creator"):
                self._credit(element)
        is_alone = len(self._parts) == 1
        for state in self._parts.values():
            _add_small_print(state, is_keyboard_alone=is_alone and state.num_staves > 1)
        return self._score

    def _credit(self, element: Element) -> None:
        name = element.get("type") if element.tag == "creator" else "title"
        if name in credits.NAMES and not getattr(self._score, name):
            setattr(self._score, name, (element.text or "").strip())

    def _score_part(self, element: Element) -> None:
        state = self._part(element.get("id", ""))
        part = state.part
        part.name = " ".join(element.findtext("part-name", "").split())
        for instrument in element.findall("midi-instrument"):
            key = instrument.get("id", "")
            program = values.integer(instrument.findtext("midi-program"), 1)
            state.programs[key] = min(max(program - 1, 0), 127)
            channel = values.integer(instrument.findtext("midi-channel"), 0)
            part.is_drum = part.is_drum or channel == _DRUM_CHANNEL
            if drum := instrument.findtext("midi-unpitched"):
                state.drums[key] = values.integer(drum, _SNARE_DRUM + 1) - 1
        part.program = next(iter(state.programs.values()), 0)

    def _part(self, key: str) -> _PartState:
        if key not in self._parts:
            self._parts[key] = _PartState(Part())
            self._score.parts.append(self._parts[key].part)
        return self._parts[key]

    def _measure(self, key: str, element: Element) -> None:
        number = self._numbers[key]
        self._numbers[key] += 1
        reader = _MeasureReader(self._score, self._part(key), number)
        reader.read(element)


class _MeasureReader:
    """Reads one measure of a part."""

    def __init__(self, score: Score, state: _PartState, number: int) -> None:
        self._score, self._state, self._number = score, state, number
        self._measure: Measure = score.measure(number)
        self._notes = state.part.notes.setdefault(number, [])
        self._at = Fraction(0)
        self._last_start = Fraction(0)
        self._grace = 0
        self._ends: dict[str, Fraction] = {}  # by voice
        self._pitched: list[tuple[Note, Element]] = []

    def read(self, element: Element) -> None:
        readers = {
            "note": self._note,
            "backup": self._backup,
            "forward": self._forward,
            "attributes": self._attributes,
            "direction": self._direction,
            "sound": self._sound,
            "barline": self._barline,
        }
        self._measure.endings |= self._state.endings
        for child in element:
            if reader := readers.get(child.tag):
                reader(child)
        self._measure.ends += self._ends.values()
        if any(note.mark for note, _ in self._pitched):
            musicxml_ornaments.set_neighbours(self._pitched, self._state.fifths)

    def _duration(self, element: Element) -> Fraction:
        text = element.findtext("duration")
        if text is not None:
            return max(values.number(text), Fraction(0)) / self._state.divisions
        return _TYPES.get(element.findtext("type", ""), Fraction(0))

    def _backup(self, element: Element) -> None:
        self._at = max(self._at - self._duration(element), Fraction(0))

    def _forward(self, element: Element) -> None:
        self._advance(self._duration(element))

    def _advance(self, length: Fraction) -> None:
        self._at += length
        self._measure.length = max(self._measure.length, self._at)

    def _note(self, element: Element) -> None:
        voice = element.findtext("voice", "1")
        is_chord = element.find("chord") is not None
        is_grace = element.find("grace") is not None
        length = Fraction(0) if is_grace else self._duration(element)
        if not is_chord:
            self._grace = self._grace + 1 if is_grace else 0
            self._last_start = self._at
            if length:
                self._advance(length)
                self._ends[voice] = self._at
        is_rest = element.find("rest") is not None
        if is_rest or (pitch := self._pitch(element)) is None:
            return
        program, is_drum = self._instrument(element)
        ties = {tie.get("type") for tie in element.findall("tie")}
        note = Note(
            start=self._last_start,
            length=length,
            pitch=pitch,
            voice=voice,
            starts_tie="start" in ties,
            ends_tie="stop" in ties,
            grace=max(self._grace, 1) if is_grace else 0,
            mark=musicxml_ornaments.mark(element),
            program=program,
            is_drum=is_drum,
        )
        if element.find("pitch") is not None:
            self._pitched.append((note, element))
        if element.find("cue") is not None:
            self._state.cues.append((self._number, note))
        else:
            self._add(note, element)

    def _add(self, note: Note, element: Element) -> None:
        """Adds a note, or the notes of its tremolo."""
        tremolo = element.find("notations/ornaments/tremolo")
        kind = "" if tremolo is None else tremolo.get("type", "single")
        if tremolo is None or note.grace or not note.length:
            self._notes.append(note)
            return
        marks = 3 if kind == "unmeasured" else values.integer(tremolo.text, 3)
        written = _TYPES.get(element.findtext("type", ""), Fraction(1))
        unit = min(written, Fraction(1)) / 2 ** min(max(marks, 0), 8)
        other = self._state.tremolo if kind == "stop" else None
        self._state.tremolo = note if kind == "start" else None
        if kind == "start":
            self._notes.append(note)
        elif other in self._notes[-8:]:
            self._notes.remove(other)
            self._notes += values.in_turn([other, note], unit)
        else:
            self._notes += values.in_turn([note], unit)

    def _instrument(self, element: Element) -> tuple[int, bool]:
        """Program of a note, and whether it is a drum."""
        state = self._state
        instrument = element.find("instrument")
        key = "" if instrument is None else instrument.get("id", "")
        is_drum = state.part.is_drum or element.find("unpitched") is not None
        return state.programs.get(key, state.part.program), is_drum

    def _pitch(self, element: Element) -> int | None:
        """The sounding MIDI number; None if there is none."""
        if element.find("unpitched") is not None:
            self._state.part.is_drum = True
            instrument = element.find("instrument")
            drums = self._state.drums
            key = "" if instrument is None else instrument.get("id", "")
            usual = next(iter(drums.values()), _SNARE_DRUM)
            return min(max(drums.get(key, usual), 0), 127)
        pitch = element.find("pitch")
        if pitch is None:
            return None
        alter = values.number(pitch.findtext("alter", "0"))
        if alter.denominator != 1:
            self._score.repairs["microtones rounded"] += 1
        transposition = self._state.transposition
        staff = element.findtext("staff", "1")
        sounding = (
            TONICS[pitch.findtext("step", "").strip().upper()]
            + 12 * (values.integer(pitch.findtext("octave"), 4) + 1)
            + round(alter)
            + transposition.get(staff, transposition.get("", 0))
        )
        if 0 <= sounding <= 127:
            return sounding
        self._score.repairs["notes beyond MIDI's pitches left out"] += 1
        return None

    def _attributes(self, element: Element) -> None:
        if divisions := element.findtext("divisions"):
            self._state.divisions = values.number(divisions) or Fraction(1)
        if staves := element.findtext("staves"):
            self._state.num_staves = values.integer(staves, 1)
        for transpose in element.findall("transpose"):
            octaves = values.integer(transpose.findtext("octave-change"), 0)
            if (double := transpose.find("double")) is not None:
                octaves += 1 if double.get("above") == "yes" else -1
            semitones = round(values.number(transpose.findtext("chromatic", "0")))
            self._state.transposition[transpose.get("number", "")] = (
                semitones + 12 * octaves
            )
        if (time := element.find("time")) is not None:
            self._measure.metre = values.metre(time)
        key = element.find("key")
        if key is not None and (text := key.findtext("fifths")):
            fifths = self._state.fifths = min(max(values.integer(text, 0), -7), 7)
            if not self._moved:
                mode = key_signatures.mode_of(key.findtext("mode", ""))
                self._measure.key = fifths, mode

    @property
    def _moved(self) -> bool:
        """Whether this part sounds in another key than it is written in."""
        return any(shift % 12 for shift in self._state.transposition.values())

    def _direction(self, element: Element) -> None:
        said = element.find("sound")
        for sign in element.iterfind("direction-type/*"):
            if sign.tag in ("segno", "coda") and said is None:
                setattr(self._measure, sign.tag, True)
            elif sign.tag == "words" and said is None:
                xml_text.read_jumps(sign.text or "", self._measure)
            elif sign.tag == "metronome" and (said is None or not said.get("tempo")):
                self._metronome(sign)
        if said is not None:
            self._sound(said)

    def _metronome(self, element: Element) -> None:
        """Reads "quarter = 120"; other equations say nothing about the tempo."""
        units = element.findall("beat-unit")
        number = re.search(r"\d+(\.\d+)?", element.findtext("per-minute", ""))
        if number and len(units) == 1:
            dots = len(element.findall("beat-unit-dot"))
            unit = _TYPES.get((units[0].text or "").strip(), Fraction(1))
            self._tempo(Fraction(number[0]) * unit * (2 - Fraction(1, 2**dots)))

    def _tempo(self, qpm: Fraction) -> None:
        self._measure.tempi.append((self._at, float(qpm)))

    def _sound(self, element: Element) -> None:
        if tempo := element.get("tempo"):
            self._tempo(values.number(tempo))
        if element.get("forward-repeat") == "yes":
            self._measure.begins_repeat = True
        for name, attribute in _SOUNDS.items():
            if element.get(name, "no") != "no":
                setattr(self._measure, attribute, True)

    def _barline(self, element: Element) -> None:
        measure, state = self._measure, self._state
        for sign in ("segno", "coda"):
            if element.find(sign) is not None:
                setattr(measure, sign, True)
        if (ending := element.find("ending")) is not None:
            if ending.get("type") == "start":
                found = re.findall(r"\d+", ending.get("number", ""))
                state.endings = frozenset(map(int, found[:16]))
                measure.endings |= state.endings
            else:
                state.endings = frozenset()
        if (repeat := element.find("repeat")) is not None:
            if repeat.get("direction") == "forward":
                measure.begins_repeat = True
            else:
                times = values.integer(repeat.get("times"), 2)
                measure.times = max(measure.times, times, 2)


def _add_small_print(state: _PartState, *, is_keyboard_alone: bool) -> None:
    """Makes small notes sound while their part plays, or if it consists of them.

    Cue notes show what others play while a part rests; some programs mark all small
    notes as cues, such as those of a cadenza. For a keyboard alone there are no others.
    """
    notes, cues = state.part.notes, state.cues
    is_made_of_them = len(cues) > max(_MIN_SMALL_PRINT, sum(map(len, notes.values())))
    small = [
        (number, note)
        for number, note in cues
        if is_keyboard_alone
        or is_made_of_them
        or any(n.start <= note.start < n.start + n.length for n in notes[number])
    ]
    for number, note in small:
        notes[number].append(note)
