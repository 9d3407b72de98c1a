"""Writes small MusicXML scores for tests, and reads them."""

from poph_tf.data import matrices, score_sequence
from poph_tf.data import musicxml as reader
from poph_tf.data import notes as notes_lib

HEAD = '<?xml version="1.0"?><score-partwise version="4.0">'
PART = '<score-part id="P1"><part-name>A</part-name></score-part>'


def attributes(divisions=2, time="4/4", more=""):
    beats, beat_type = time.split("/")
    return (
        f"<attributes><divisions>{divisions}</divisions><time><beats>{beats}</beats>"
        f"<beat-type>{beat_type}</beat-type></time>{more}</attributes>"
    )


def note(pitch, duration=2, more="", before="", alter=None):
    """Makes a note such as "C4"; "r" is a rest; a quarter has two divisions."""
    if pitch == "r":
        tone = "<rest/>"
    else:
        raised = "" if alter is None else f"<alter>{alter}</alter>"
        tone = (
            f"<pitch><step>{pitch[0]}</step>{raised}<octave>{pitch[1:]}</octave>"
            "</pitch>"
        )
    length = f"<duration>{duration}</duration>" if duration else ""
    return f"<note>{before}{tone}{length}{more}</note>"


def notes(text, duration=2):
    return "".join(note(pitch, duration) for pitch in text.split())


def grace(pitch):
    return note(pitch, 0, before="<grace/>")


def measures(*bodies, first=None):
    first = attributes() if first is None else first
    return "".join(
        f'<measure number="{k}">{first if k == 1 else ""}{body}</measure>'
        for k, body in enumerate(bodies, 1)
    )


def score(*bodies, first=None, part_list=PART):
    """Makes a score of one part from the contents of its measures."""
    return parts([measures(*bodies, first=first)], part_list)


def parts(contents, part_list):
    """Makes a score of several parts from their measures."""
    body = "".join(f'<part id="P{k}">{c}</part>' for k, c in enumerate(contents, 1))
    return f"{HEAD}<part-list>{part_list}</part-list>{body}</score-partwise>"


def barline(*content, location="right"):
    return f'<barline location="{location}">{"".join(content)}</barline>'


FORWARD = barline('<repeat direction="forward"/>', location="left")
BACKWARD = barline('<repeat direction="backward"/>')


def ending(number, kind, *more):
    location = "left" if kind == "start" else "right"
    return barline(
        f'<ending number="{number}" type="{kind}"/>', *more, location=location
    )


def sound(**attributes):
    said = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f"<sound {said}/>"


def direction(content, more=""):
    kind = f"<direction-type>{content}</direction-type>" if content else ""
    return f"<direction>{kind}{more}</direction>"


WHOLE = note("C4", 8)


def sequence_of(text, repeats="played"):
    data = text if isinstance(text, bytes) else text.encode()
    score = reader.parse(data, "a.xml")
    return score_sequence.to_sequence(score, "a.xml", repeats=repeats)


def rows(text, repeats="played"):
    """Returns (pitch, start, end) in quarter notes, at 120 qpm."""
    found = notes_lib.from_sequence(sequence_of(text, repeats))
    ticks = found.ticks_per_quarter
    columns = (found.pitch, found.start_tick / ticks, found.end_tick / ticks)
    return sorted(zip(*(c.tolist() for c in columns), strict=True), key=lambda r: r[1:])


def pitches(text, repeats="played"):
    return [row[0] for row in rows(text, repeats)]


def grid(text):
    return matrices.from_sequence(sequence_of(text))
