"""What XML scores have in common: encodings, and words that mark jumps."""

import re

from poph_tf.data.score import Measure

_JUMPS = {
    "da_capo": re.compile(r"(d\.? ?c\.?|da capo)( (al|senza) .*)?"),
    "dal_segno": re.compile(r"(d\.? ?s\.?|dal? segno)( (al|senza) .*)?"),
    "to_coda": re.compile(r"(to|alla) coda.*"),
    "fine": re.compile(r"fine"),
}


def as_utf8(data: bytes) -> bytes:
    """Repairs text that contradicts its own declaration of an encoding."""
    is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        if re.match(rb"\s*<\?xml[^>]*encoding=.(?!utf-?8)", data, re.IGNORECASE):
            return data  # The parser knows the encoding.
        text = data.decode("latin-1")
    return re.sub(r"^\s*<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL).encode()


def read_jumps(words: str, measure: Measure) -> None:
    """Marks a measure with the jumps that words at its end name: "D.C. al Fine"."""
    said = " ".join(words.lower().split()).strip(" .()")
    for attribute, pattern in _JUMPS.items():
        if pattern.fullmatch(said):
            setattr(measure, attribute, True)
