"""The fields of ABC notation: key, metre, tempo, unit length, voice, order of parts.

Each function takes the text after the colon.

Source: https://abcnotation.com/wiki/abc:standard:v2.1 (information fields).
"""

import re
from fractions import Fraction

from poph_tf.data import key_signatures
from poph_tf.theory import TONICS

_KEY = re.compile(r"\s*([A-G])([#b]?)\s*([A-Za-z]*)")
_ACCIDENTALS = re.compile(r"(?:^|\s)(\^{1,2}|_{1,2}|=)([A-Ga-g])(?![A-Za-z])")
_MAX_PARTS = 1000


def accidental(sign: str) -> Fraction:
    """Semitones of an accidental, which may be microtonal (^1/2, _/)."""
    marks = sign.rstrip("0123456789/")
    semitones = marks.count("^") - marks.count("_")
    number = sign[len(marks) :]
    return semitones * (length(number) if number else Fraction(1))


def length(text: str) -> Fraction:
    """The length after a note: "3", "/", "//", "3/2"; an empty text is 1.

    Example:
        >>> [str(length(text)) for text in ("", "3", "/", "//", "3/2")]
        ['1', '3', '1/2', '1/4', '3/2']
    """
    match = re.fullmatch(r"(\d*)(/*)(\d*)", text)
    assert match, "the tune's own pattern matches nothing else"
    number, slashes, divisor = match.groups()
    value = Fraction(int(number[:6] or 1))
    if divisor:
        return value / max(int(divisor[:6]), 1)
    return value / 2 ** min(len(slashes), 10)


def key(text: str) -> tuple[int, int] | None:
    """(sharps, or flats if negative; mode) of a key; None if none is named."""
    word = text.split()[0] if text.split() else ""
    if word in ("HP", "Hp"):
        return 2, key_signatures.UNSAID
    if word.lower() == "none":
        return 0, key_signatures.UNSAID
    found = _KEY.match(text)
    if not found:
        return None
    tonic, sign, mode = found.groups()
    # A lone m is minor; other modes go by three letters; anything else is major.
    said = key_signatures.mode_of("minor" if mode.lower() == "m" else mode)
    said = key_signatures.MAJOR if said == key_signatures.UNSAID else said
    # The sharps of C in this mode, plus those that the tonic adds.
    sharps = key_signatures.sharps_of(TONICS["C"], said)
    sharps += key_signatures.sharps_of(TONICS[tonic], key_signatures.MAJOR)
    sharps += 7 * ((sign == "#") - (sign == "b"))
    return min(max(sharps, -7), 7), said


def accidentals(text: str, sharps: int) -> dict[str, Fraction]:
    """Semitones by letter (upper case) of a key with this many sharps."""
    usual = {} if re.search(r"\bexp\b", text) else key_signatures.accidentals(sharps)
    found = {letter: Fraction(sign) for letter, sign in usual.items()}
    for mark, letter in _ACCIDENTALS.findall(text):
        found[letter.upper()] = accidental(mark)
    return found


def shift(text: str) -> int | None:
    """Semitones by which a clef, octave or transposition shifts the written notes."""
    said = None
    clef = r"(?:clef=|\b)(?:treble|alto|tenor|bass|[GCF])\d?"
    # "-8va" is not in the standard, but older programs wrote it.
    if sign := re.search(rf"{clef}([+-])8|(?<!\S)([+-])8va", text):
        said = 12 if "+" in sign.groups() else -12
    if octave := re.search(r"octave=([+-]?\d)", text):
        said = (said or 0) + 12 * int(octave[1])
    if semitones := re.search(r"(?:transpose|\bt)=([+-]?\d{1,2})", text):
        said = (said or 0) + int(semitones[1])
    return said


def metre(text: str) -> tuple[int, int] | None:
    """Numerator and denominator; (0, 0) if free; None if the text is not a metre."""
    text = text.strip()
    if text in ("C", "C|"):
        return (4, 4) if text == "C" else (2, 2)
    if text.lower() == "none" or not text:
        return (0, 0)
    found = re.match(r"\(?\s*(\d{1,3}(?:\s*\+\s*\d{1,3})*)\s*\)?\s*/\s*(\d{1,3})", text)
    if not found:
        return None
    beats, unit = sum(map(int, found[1].split("+"))), int(found[2])
    return (beats, unit) if beats and unit else None


def unit_length(text: str) -> Fraction | None:
    """The unit length in quarter notes: "1/8" is half a quarter."""
    found = re.match(r"\s*(\d{1,3})(?:\s*/\s*(\d{1,4}))?", text)
    if not found or not int(found[1]) or found[2] and not int(found[2]):
        return None
    return 4 * Fraction(int(found[1]), int(found[2] or 1))


def usual_unit_length(signature: tuple[int, int] | None) -> Fraction:
    """The default unit length in quarter notes: shorter in short metres."""
    beats, unit = signature or (0, 0)
    is_short = unit and Fraction(beats, unit) < Fraction(3, 4)
    return Fraction(1, 4) if is_short else Fraction(1, 2)


def tempo(text: str, unit: Fraction) -> float | None:
    """Quarter notes per minute of "1/4=120", "3/8=80" or the older "C=120", "120"."""
    text = re.sub(r'"[^"]*"', " ", text)
    number = re.search(r"(?:^|=)\s*(\d{1,4}(?:\.\d+)?)\s*$", text)
    if not number:
        return None
    beats = re.findall(r"(\d{1,3})/(\d{1,3})", text.partition("=")[0])
    if beats:
        beat = sum(4 * Fraction(int(a), max(int(b), 1)) for a, b in beats)
    else:
        count = re.search(r"C(\d{0,3})\s*=", text)
        beat = unit * int(count[1] or 1) if count else unit
    return float(beat * Fraction(number[1]))


def order_of_parts(text: str) -> str:
    """The letters of P: in playing order: "A(BC)2" is ABCBC."""
    text = re.sub(r"[^A-Za-z0-9()]", "", text)[:200]
    while found := re.search(r"\(([^()]*)\)(\d{0,2})|([A-Za-z])(\d{1,2})", text):
        inner, times = (found[1], found[2]) if found[3] is None else found.groups()[2:]
        played = inner * int(times or 1)
        text = (text[: found.start()] + played + text[found.end() :])[:_MAX_PARTS]
    return re.sub(r"[^A-Za-z]", "", text)


def properties(text: str) -> tuple[str, str]:
    """The id of a voice and its name, or ""."""
    words = text.split(maxsplit=1)
    named = re.search(r'\b(?:name|nm)="?([^"]*?)"?(?:\s+\w+=|$)', text)
    return (words[0] if words else ""), (named[1].strip() if named else "")
