"""Reads MEI scores (common Western notation), versions 3 to 5.

Each staff is a part. Notes have their sounding pitch: `oct.ges` and `accid.ges` decide
if present, else what is written; without any `accid.ges` in a file the key applies.
Ties are attributes or elements, repeats those of bar lines and endings.

Source: https://music-encoding.org/guidelines/v5/content/
"""

import collections
import re
from fractions import Fraction
from xml.etree import ElementTree

from poph_tf.data import key_signatures, xml_text
from poph_tf.data import mei_values as values
from poph_tf.data import score as score_lib
from poph_tf.data.score import Measure, Note, Part, Score
from poph_tf.errors import MusicFileError, kind_of
from poph_tf.theory import TONICS

Element = ElementTree.Element
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_ALTER = {"s": 1, "f": -1, "x": 2, "n": 0, "u": 0.5, "d": -0.5}
_SNARE_DRUM = 38
_MAX_DEPTH = 50
# Elements whose content is read as if they were not there.
_CONTAINERS = ("music", "mdiv", "score", "section", "lem", "rdg", "body")
_FUNCTIONS = {
    "dacapo": "da_capo",
    "dalsegno": "dal_segno",
    "segno": "segno",
    "coda": "coda",
    "fine": "fine",
}


def parse(data: bytes, name: str) -> Score:
    """Reads the content of a score.

    Raises:
        MusicFileError: If it cannot be read.
    """
    try:
        return _Reader().read(ElementTree.fromstring(xml_text.as_utf8(data)))
    except MusicFileError as error:
        raise MusicFileError(name, error.reason) from None
    except (ElementTree.ParseError, ValueError, ArithmeticError, KeyError) as error:
        reason = f"not MEI that can be read ({kind_of(error)})"
        raise MusicFileError(name, reason) from None


class _Staff:
    """The state of a staff: its notes, and how they are written."""

    def __init__(self) -> None:
        self.part = Part()
        self.shift = 0
        self.key: dict[str, int] = {}
        self.accidentals: dict[tuple[str, str], Fraction] = {}


class _Reader:
    """Reads a score, measure by measure."""

    def __init__(self) -> None:
        self._score = Score()
        self._staves: dict[str, _Staff] = collections.defaultdict(self._new_staff)
        self._metre = (4, 4)
        self._number = 0
        self._endings: frozenset[int] = frozenset()
        self._notes: dict[str, list[Note]] = {}  # by id, for ties
        self._is_explicit = False  # whether sounding accidentals are given

    def _new_staff(self) -> _Staff:
        staff = _Staff()
        self._score.parts.append(staff.part)
        return staff

    def read(self, root: Element) -> Score:
        for element in root.iter():
            element.tag = str(element.tag).rpartition("}")[2]
        if root.tag not in ("mei", "music", "body"):
            raise ValueError("no mei")
        self._is_explicit = any(e.get("accid.ges") for e in root.iter())
        titles = (e.text for e in root.iter("title") if e.text)
        self._score.title = " ".join(next(titles, "").split())
        self._score.composer = values.composer(root)
        body = root if root.tag == "body" else next(root.iter("body"), root)
        self._walk(body, 0)
        for measure in body.iter("measure"):
            self._tie(measure)
        return self._score

    def _walk(self, element: Element, depth: int) -> None:
        """Goes through sections in order."""
        if depth > _MAX_DEPTH:
            raise ValueError("too deep")
        for child in element:
            if child.tag == "measure":
                self._read_measure(child)
            elif child.tag in ("scoreDef", "staffDef"):
                self._define(child)
            elif child.tag == "ending":
                numbers = re.findall(r"\d{1,2}", child.get("n", ""))
                self._endings = frozenset(map(int, numbers))
                self._walk(child, depth + 1)
                self._endings = frozenset()
            elif child.tag in ("app", "choice"):
                self._walk(values.first(child), depth + 1)
            elif child.tag in _CONTAINERS:
                self._walk(child, depth + 1)

    # Definitions of staves.

    def _define(self, element: Element) -> None:
        """Reads metre, key and instruments; those of a scoreDef apply to all staves."""
        definitions = [element, *element.iter("staffDef")]
        for definition in definitions:
            name = definition.get("n", "")
            own = [self._staves[name]] if definition.tag == "staffDef" else []
            staves = own or list(self._staves.values())
            self._define_metre(definition)
            sharps = values.key(definition)
            if sharps is not None:
                for staff in staves:
                    staff.key = key_signatures.accidentals(sharps)
                self._measure.key = sharps, values.mode(definition, element)
            for staff in own:
                _define_staff(staff, definition)
        _name_groups(element, self._staves)
        sharps = values.key(element)
        if sharps is not None:
            for staff in self._staves.values():
                staff.key = staff.key or key_signatures.accidentals(sharps)
        if element.get("midi.bpm"):
            self._add_tempo(self._measure, element, Fraction(0))

    @property
    def _measure(self) -> Measure:
        return self._score.measure(self._number)

    def _define_metre(self, element: Element) -> None:
        sign = element.find("meterSig")
        count, unit = element.get("meter.count"), element.get("meter.unit")
        symbol = element.get("meter.sym")
        if sign is not None:
            count, unit, symbol = sign.get("count"), sign.get("unit"), sign.get("sym")
        if symbol in ("common", "cut") and not count:
            count, unit = ("4", "4") if symbol == "common" else ("2", "2")
        beats = sum(map(int, re.findall(r"\d{1,3}", count or "")))
        if beats and re.fullmatch(r"\d{1,3}", unit or "") and int(unit or 0):
            self._metre = beats, int(unit or 4)
            self._measure.metre = self._metre

    # Measures.

    def _read_measure(self, element: Element) -> None:
        measure = self._measure
        measure.endings = self._endings
        if element.get("left") in ("rptstart", "rptboth"):
            measure.begins_repeat = True
        if element.get("right") in ("rptend", "rptboth"):
            measure.times = 2
        for staff_element in element.iter("staff"):
            staff = self._staves[staff_element.get("n", "1")]
            for layer in staff_element.findall("layer"):
                staff.accidentals = {}
                _LayerReader(self, staff, measure, layer).read()
        self._read_signs(element, measure)
        self._number += 1
        if element.get("right") == "rptboth":
            self._measure.begins_repeat = True

    def _read_signs(self, element: Element, measure: Measure) -> None:
        for sign in element:
            if sign.tag == "tempo":
                place = float(sign.get("tstamp", "1"))
                beat = Fraction(4, self._metre[1])
                at = max(Fraction(place - 1).limit_denominator(96), Fraction(0)) * beat
                self._add_tempo(measure, sign, at)
            elif sign.tag == "repeatMark":
                function = _FUNCTIONS.get(sign.get("func", "").lower())
                if function:
                    setattr(measure, function, True)
            elif sign.tag == "dir":
                xml_text.read_jumps("".join(sign.itertext()), measure)

    def _add_tempo(self, measure: Measure, element: Element, at: Fraction) -> None:
        quarters = re.match(r"\d+(\.\d+)?", element.get("midi.bpm", ""))
        beats = re.match(r"\d+(\.\d+)?", element.get("mm", ""))
        if quarters:
            measure.tempi.append((at, float(quarters[0])))
        elif beats:
            unit = values.written(element.get("mm.unit", "4"), element.get("mm.dots"))
            measure.tempi.append((at, float(beats[0]) * float(unit)))

    def _tie(self, measure: Element) -> None:
        """Applies ties that are elements: they name the notes they join."""
        for tie in measure.iter("tie"):
            first = self._notes.get(tie.get("startid", "").lstrip("#"), ())
            second = self._notes.get(tie.get("endid", "").lstrip("#"), ())
            if first and second:
                for note in first:
                    note.starts_tie = True
                for note in second:
                    note.ends_tie = True


class _LayerReader:
    """Reads one voice of a measure."""

    def __init__(
        self, reader: _Reader, staff: _Staff, measure: Measure, layer: Element
    ) -> None:
        self._reader, self._staff, self._measure = reader, staff, measure
        self._layer = layer
        self._number = reader._number
        self._at = Fraction(0)
        self._grace = 0

    def read(self) -> None:
        self._events(self._layer, Fraction(1), 0)
        self._measure.ends.append(self._at)
        self._measure.length = max(self._measure.length, self._at)

    def _events(self, element: Element, factor: Fraction, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("too deep")
        for child in element:
            if child.tag in ("note", "chord"):
                self._sound(child, factor)
            elif child.tag in ("rest", "space"):
                self._at += values.duration(child) * factor
            elif child.tag in ("mRest", "mSpace", "mRpt", "multiRest"):
                if child.tag == "mRpt":
                    self._repeat_bar()
                beats, unit = self._reader._metre
                self._at += Fraction(4 * beats, unit)
            elif child.tag == "tuplet":
                ratio = values.ratio(child)
                self._events(child, factor * ratio, depth + 1)
            elif child.tag in ("bTrem", "fTrem"):
                self._tremolo(child, factor, depth)
            elif child.tag in ("app", "choice"):
                self._events(values.first(child), factor, depth + 1)
            elif child.tag in ("meterSig", "keySig"):
                continue
            else:  # beams and other groups of events
                self._events(child, factor, depth + 1)

    def _sound(self, element: Element, factor: Fraction) -> None:
        tones = element.findall("note") if element.tag == "chord" else [element]
        is_grace = any(tone.get("grace") for tone in (element, *tones))
        first = tones[0] if tones else element
        length = Fraction(0)
        self._grace = self._grace + 1 if is_grace else 0
        if not is_grace:
            length = values.duration(element, first) * factor
        notes = []
        for tone in tones:
            if element.get("cue") == "true" or tone.get("cue") == "true":
                continue
            note = self._note(tone, element, length)
            if note:
                notes.append(note)
        self._staff.part.notes.setdefault(self._number, []).extend(notes)
        if key := element.get(_ID):
            self._reader._notes[key] = notes
        self._at += length

    def _note(self, tone: Element, parent: Element, length: Fraction) -> Note | None:
        pitch = self._pitch(tone)
        if pitch is None:
            return None
        ties = (parent.get("tie") or "") + (tone.get("tie") or "")
        note = Note(
            start=self._at,
            length=length,
            pitch=pitch,
            voice=self._layer.get("n", "1"),
            starts_tie="i" in ties or "m" in ties,
            ends_tie="t" in ties or "m" in ties,
            grace=self._grace,
            program=self._staff.part.program,
            is_drum=self._staff.part.is_drum,
        )
        if key := tone.get(_ID):
            self._reader._notes[key] = [note]
        return note

    def _pitch(self, tone: Element) -> int | None:
        """The sounding MIDI number; None if there is none."""
        letter = (tone.get("pname.ges") or tone.get("pname") or "").upper()
        if not letter or self._staff.part.is_drum:
            return _SNARE_DRUM if self._staff.part.is_drum or tone.get("loc") else None
        octave = tone.get("oct.ges") or tone.get("oct") or "4"
        alter = self._alter(tone, letter, octave)
        pitch = TONICS[letter] + 12 * (int(octave) + 1) + round(alter)
        if alter.denominator != 1:
            self._reader._score.repairs["microtones rounded"] += 1
        pitch += self._staff.shift
        return pitch if 0 <= pitch <= 127 else None

    def _alter(self, tone: Element, letter: str, octave: str) -> Fraction:
        signs = [tone, *tone.iter("accid")]
        sounding = next((e.get("accid.ges") for e in signs if e.get("accid.ges")), None)
        written = next((e.get("accid") for e in signs if e.get("accid")), None)
        if sounding or written:
            signs_of = (sounding or written or "").replace("ts", "xs")
            alter = Fraction(sum(Fraction(_ALTER.get(s, 0)) for s in signs_of))
            self._staff.accidentals[letter, octave] = alter
            return alter
        if self._reader._is_explicit:
            return Fraction(0)
        usual = Fraction(self._staff.key.get(letter, 0))
        return self._staff.accidentals.get((letter, octave), usual)

    def _repeat_bar(self) -> None:
        """Repeats the bar before."""
        notes = self._staff.part.notes
        notes.setdefault(self._number, []).extend(notes.get(self._number - 1, ()))

    def _tremolo(self, element: Element, factor: Fraction, depth: int) -> None:
        start, kept = self._at, self._staff.part.notes.setdefault(self._number, [])
        count = len(kept)
        tones = [e for e in element if e.tag in ("note", "chord")]
        is_pair = element.tag == "fTrem"
        self._events(element, factor / 2 if is_pair else factor, depth + 1)
        stems = [e.get("stem.mod", "") for e in (element, *tones)]
        marks = next((int(s[0]) for s in stems if re.match(r"[1-6]slash", s)), 0)
        beams = element.get("beams", "")
        marks = marks or (int(beams) if re.fullmatch("[1-6]", beams) else 3)
        unit = Fraction(1, 2**marks)
        if element.get("unitdur"):
            unit = values.written(element.get("unitdur", ""), None)
        struck = int((self._at - start) / unit)
        if not 1 < struck <= 256:
            return
        groups = [kept[count:]]
        if is_pair:
            groups = [[n for n in groups[0] if (n.start > start) == k] for k in (0, 1)]
        for note in kept[count:]:
            note.mark = "tremolo"
        del kept[count:]
        each = (self._at - start) / struck
        kept += [
            score_lib.struck(note, start + k * each, each)
            for k in range(struck)
            for note in groups[k % len(groups)]
        ]


def _define_staff(staff: _Staff, element: Element) -> None:
    label = element.find("label")
    name = element.get("label", "") if label is None else "".join(label.itertext())
    staff.part.name = " ".join(name.split()) or staff.part.name
    if re.fullmatch(r"-?\d{1,2}", element.get("trans.semi", "")):
        staff.shift = int(element.get("trans.semi", "0"))
    clefs = [element.get("clef.shape"), *(c.get("shape") for c in element.iter("clef"))]
    staff.part.is_drum = staff.part.is_drum or "perc" in clefs
    values.define_instrument(staff.part, element.iter("instrDef"))


def _name_groups(element: Element, staves: dict[str, _Staff]) -> None:
    """Gives the staves of a group its name and instrument, if they lack their own."""
    for group in element.iter("staffGrp"):
        label = group.find("label")
        name = group.get("label", "") if label is None else "".join(label.itertext())
        for definition in group.findall("staffDef"):
            part = staves[definition.get("n", "")].part
            part.name = part.name or " ".join(name.split())
            if definition.find("instrDef") is None:
                values.define_instrument(part, group.findall("instrDef"))
