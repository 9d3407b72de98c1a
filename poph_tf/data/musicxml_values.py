"""Values of MusicXML: the file in a container, numbers, metres, jumps, tremolos.

Source: https://www.w3.org/2021/06/musicxml40/musicxml-reference/elements/
"""

import io
import re
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from xml.etree import ElementTree

from poph_tf.data.score import Note, struck
from poph_tf.errors import MusicFileError, kind_of

Element = ElementTree.Element
_MAX_TREMOLO = 256
# Symphonies stay below a tenth of this.
_MAX_SCORE_BYTES = 100_000_000


def unpacked(data: bytes, name: str) -> bytes:
    """The score in a zip file: the one its container names, or the first."""
    if not data.startswith(b"PK"):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = archive.getinfo(_root_file(archive))
            is_small = member.file_size <= _MAX_SCORE_BYTES
            unpacked = archive.read(member) if is_small else b""
    except Exception as error:
        # zipfile and its decompressors raise all kinds of errors on broken archives.
        reason = f"not MusicXML that can be read ({kind_of(error)})"
        raise MusicFileError(name, reason) from None
    if not is_small:
        raise MusicFileError(name, f"unpacks to more than {_MAX_SCORE_BYTES:,} bytes")
    return unpacked


def _root_file(archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    container = "META-INF/container.xml"
    if container in names and archive.getinfo(container).file_size < 1_000_000:
        try:
            for element in ElementTree.fromstring(archive.read(container)).iter():
                if element.get("full-path") in names:
                    return str(element.get("full-path"))
        except ElementTree.ParseError:
            pass  # The archive may still hold one score.
    scores = (n for n in names if n.lower().endswith((".xml", ".musicxml")))
    return next((n for n in scores if not n.startswith(("META-INF", "__MACOSX"))), "")


def number(text: str) -> Fraction:
    """A number, exactly; `Fraction` itself would take underscores and exponents too."""
    found = re.fullmatch(r"\s*([+-]?\d{1,12}(\.\d{0,12})?)\s*", text)
    if not found:
        raise ValueError(f"not a number: {text!r}")
    return Fraction(found[1])


def integer(text: str | None, default: int) -> int:
    """A whole number, or the default if there is none."""
    try:
        return int(number(text or ""))
    except ValueError:
        return default


def metre(element: Element) -> tuple[int, int] | None:
    """Numerator and denominator of a time signature, added up if it has several."""
    if element.find("senza-misura") is not None:
        return (0, 0)
    beats = [e.text or "" for e in element.findall("beats")]
    types = [integer(e.text, 0) for e in element.findall("beat-type")]
    parts = [
        (sum(map(int, re.findall(r"\d{1,4}", count))), unit)
        for count, unit in zip(beats, types, strict=False)
    ]
    if not parts or any(count <= 0 or unit <= 0 for count, unit in parts):
        return None
    unit = max(unit for _, unit in parts)
    return int(sum(Fraction(count * unit, each) for count, each in parts)), unit


def in_turn(notes: Sequence[Note], unit: Fraction) -> list[Note]:
    """Notes struck in turn, one per unit, for as long as they last together."""
    length = sum((note.length for note in notes), Fraction(0))
    count = length // unit
    if not 1 < count <= _MAX_TREMOLO:
        return list(notes)
    each = length / count
    return [
        struck(notes[k % len(notes)], notes[0].start + k * each, each)
        for k in range(count)
    ]
