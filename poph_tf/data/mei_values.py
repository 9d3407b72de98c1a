"""Values of MEI: lengths, tuplets, keys, instruments.

Source: https://music-encoding.org/guidelines/v5/content/
"""

import re
from collections.abc import Iterable
from fractions import Fraction
from xml.etree import ElementTree

from poph_tf.data import key_signatures
from poph_tf.data.score import Part

Element = ElementTree.Element

_LENGTHS = {"breve": 8, "long": 16, "maxima": 32}


def first(element: Element) -> Element:
    """The reading to play: the lemma, or else the first."""
    lemma = element.find("lem")
    return next(iter(element), element) if lemma is None else lemma


def composer(root: Element) -> str:
    """The first composer that a file names; empty if there is none."""
    named = (e for e in root.iter() if "composer" in (e.tag, e.get("role")))
    names = (" ".join("".join(e.itertext()).split()) for e in named)
    return next(filter(None, names), "")


def written(text: str, dots: str | None) -> Fraction:
    """The length of "4", "8", "breve" in quarter notes."""
    if text not in _LENGTHS and not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise ValueError("no duration")
    length = Fraction(_LENGTHS[text]) if text in _LENGTHS else Fraction(4, int(text))
    count = int(dots) if dots and re.fullmatch("[0-4]", dots) else 0
    return length * (2 - Fraction(1, 2**count))


def duration(element: Element, tone: Element | None = None) -> Fraction:
    """The quarter notes of an event; a chord may get its length from its notes."""
    for source in (element, tone):
        if source is not None and source.get("dur"):
            dots = source.get("dots") or str(len(source.findall("dot")))
            return written(source.get("dur", ""), dots)
    if element.tag == "space":
        return Fraction(0)
    raise ValueError("no duration")


def ratio(element: Element) -> Fraction:
    """The factor for the lengths in a tuplet."""
    number = int(element.get("num", "3"))
    base = int(element.get("numbase", "2"))
    if not 0 < number <= 100 or not 0 < base <= 100:
        raise ValueError("no tuplet")
    return Fraction(base, number)


def key(element: Element) -> int | None:
    """Sharps of a key, flats negative; None if no key is given."""
    sign = element.find("keySig")
    text = element.get("keysig") or element.get("key.sig")
    if sign is not None:
        text = sign.get("sig") or text
    found = re.fullmatch(r"([0-7])([sf]?)", text or "")
    return None if not found else int(found[1]) * (-1 if found[2] == "f" else 1)


def mode(*elements: Element) -> int:
    """The mode of a key, from the first definition that gives one."""
    signs = [sign for element in elements for sign in element.iter("keySig")]
    said = [e.get("key.mode") for e in elements] + [s.get("mode") for s in signs]
    return key_signatures.mode_of(next(filter(None, said), ""))


def define_instrument(part: Part, elements: Iterable[Element]) -> None:
    """Gives a part the program of its instrument definitions, or makes it drums."""
    for element in elements:
        if re.fullmatch(r"\d{1,3}", element.get("midi.instrnum", "")):
            part.program = min(int(element.get("midi.instrnum", "0")), 127)
        if element.get("midi.channel") == "10":
            part.is_drum = True
