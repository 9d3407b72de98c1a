"""Writes a piece as MusicXML: parts, keys, metres, voices, ties, rests and beams.

A piece with tracks gets one part per track; a piece without is written for piano. A
part with a wide range gets two staves. Notes are cut at bar lines and where a single
sign could not show the beat; the parts of a cut note are tied. `spelling.py` spells the
pitches; music21 writes the file (extra `score`).
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from poph_tf import theory
from poph_tf.data import bars, credits
from poph_tf.data import cells as cells_lib
from poph_tf.data import matrices as matrices_lib
from poph_tf.data.matrices import Matrices, TrackCells
from poph_tf.errors import InputError
from poph_tf.rendering import notation, spelling

_DOCTYPE = (
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">'
)
# Characters that XML cannot hold, such as the NUL that ends some names in MIDI files.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TITLE_LOOK = {"justify": "center", "valign": "top", "font-weight": "bold"}
_NAME_LOOK = {"justify": "right", "valign": "bottom"}
_MIDDLE_C = 60
# A part that reaches this far on both sides of middle C gets two staves.
_TWO_STAVES_SEMITONES = 5
# A voice whose mean is at most this far below middle C gets the tenor clef.
_TENOR_SEMITONES = 7


@dataclasses.dataclass(frozen=True)
class _Staff:
    """The content of one staff.

    Attributes:
        tracks: the notes of each track on it, [track][bar][note].
        mean_pitch: mean of all its notes, for the clef.
    """

    tracks: list[list[list[notation.Note]]]
    mean_pitch: float


def to_musicxml(piece: Matrices, *, closed: bool = False) -> bytes:
    """Writes a piece as a MusicXML file.

    Args:
        piece: the piece; it is made canonical first.
        closed: whether four voices share two staves, as in chorale books; the parts
            then lose their names.

    Returns:
        The file in UTF-8, always the same for the same piece.

    Raises:
        InputError: If music21 is not installed.
    """
    score = to_music21(piece, closed=closed)
    from music21.musicxml import m21ToXml

    root = m21ToXml.ScoreExporter(score, makeNotation=False).parse()
    _without(root, "encoding", "encoding-date")
    if not (piece.composer or piece.arranger):
        # music21 names itself if there is no creator.
        _without(root, "identification", "creator")
    _add_credits(root, piece)
    ElementTree.indent(root)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n{_DOCTYPE}\n'
    text = _NO_XML.sub("", ElementTree.tostring(root, "unicode"))
    return f"{head}{text}\n".encode()


def _add_credits(root: ElementTree.Element, piece: Matrices) -> None:
    """Prints title and names above the score, if the piece has a title."""
    said = credits.of(piece).items() if piece.title else ()
    place = [child.tag for child in root].index("part-list")
    for name, text in reversed([*said]):
        if text:
            credit = ElementTree.Element("credit", page="1")
            ElementTree.SubElement(credit, "credit-type").text = name
            look = _TITLE_LOOK if name == "title" else _NAME_LOOK
            ElementTree.SubElement(credit, "credit-words", look).text = text
            root.insert(place, credit)


def _without(root: ElementTree.Element, parents: str, children: str) -> None:
    """Removes children with one name from elements with another."""
    for parent in root.iter(parents):
        for child in parent.findall(children):
            parent.remove(child)


def is_choir(piece: Matrices) -> bool:
    """Whether a piece has four voices: tracks of one note at a time."""
    voices = [track.cells[..., cells_lib.PLAY].sum(1).max() for track in piece.tracks]
    return len(voices) == 4 and max(voices) <= 1


def to_music21(piece: Matrices, *, closed: bool = False) -> Any:
    """A music21 Score of the piece; same arguments and errors as `to_musicxml`."""
    try:
        from music21 import layout, metadata, stream
    except ImportError:
        raise InputError("Scores need music21: pip install 'poph_tf[score]'.") from None

    piece = matrices_lib.canonical(piece)
    tracks = piece.tracks or (TrackCells("Piano", 0, False, piece.cells),)
    lines = bars.bar_edges(piece.bar_position)
    fifths = _key_signature(piece, tracks)
    said = credits.of(piece) | {"title": piece.title or "Composition"}
    head: Any = metadata.Metadata(**{name: text for name, text in said.items() if text})
    head.software = ["poph_tf"]
    score = stream.Score()
    score.insert(0, head)
    if closed:
        first = dataclasses.replace(tracks[0], name="")
        shown = [(first, [_staff(tracks[k : k + 2], lines, fifths) for k in (0, 2)])]
    else:
        shown = [(track, _staves(track, lines, fifths)) for track in tracks]
    for number, (track, staves) in enumerate(shown, start=1):
        kind = stream.PartStaff if len(staves) > 1 else stream.Part
        made = [_part(kind, staff, piece, lines, fifths) for staff in staves]
        for part in made:
            part.partName = track.name
            part.insert(0, _instrument(track, number))
            score.insert(0, part)
        if number == 1:
            _add_tempo(made[0], piece.tempo_qpm)
        if len(made) > 1:
            score.insert(0, layout.StaffGroup(made, symbol="brace", name=track.name))
    return score


def _add_tempo(part: Any, qpm: float) -> None:
    from music21 import stream, tempo

    first = part.getElementsByClass(stream.Measure).first()
    first.insert(0, tempo.MetronomeMark(number=round(qpm, 2)))


def _key_signature(piece: Matrices, tracks: Sequence[TrackCells]) -> int:
    pitches = [cells_lib.spans(track.cells)[2] for track in tracks]
    letter, alter, _ = spelling.spell(np.concatenate(pitches))
    found = spelling.key_signature(letter, alter)
    key = piece.key or theory.key_name(theory.find_key(piece.play))
    # A key with two spellings has only one name elsewhere: F# major, not Gb major.
    named = spelling.sharps_of(key) if key else found
    return named if (named - found) % theory.NUM_PITCH_CLASSES == 0 else found


def _staves(track: TrackCells, lines: np.ndarray, fifths: int) -> list[_Staff]:
    """A track on one staff, or on two if it has chords on both sides of middle C."""
    play = track.cells[..., cells_lib.PLAY]
    (sounding,) = np.nonzero(play.any(axis=0))
    reach = _TWO_STAVES_SEMITONES
    wide = len(sounding) and sounding[0] <= _MIDDLE_C - reach
    wide = wide and sounding[-1] >= _MIDDLE_C + reach
    if not wide or play.sum(axis=1).max() <= 1:
        return [_staff([track], lines, fifths)]
    upper = np.arange(play.shape[1])[:, None] >= _MIDDLE_C
    hands = [dataclasses.replace(track, cells=track.cells * h) for h in (upper, ~upper)]
    return [_staff([hand], lines, fifths) for hand in hands]


def _staff(tracks: Sequence[TrackCells], lines: np.ndarray, fifths: int) -> _Staff:
    pitches = [cells_lib.spans(track.cells)[2] for track in tracks]
    pitch = np.concatenate([*pitches, [_MIDDLE_C] * (not sum(map(len, pitches)))])
    return _Staff(
        [notation.by_bar(track.cells, lines, fifths) for track in tracks],
        pitch.mean(),
    )


def _part(
    kind: type, staff: _Staff, piece: Matrices, lines: np.ndarray, fifths: int
) -> Any:
    """A music21 Part of one staff."""
    from music21 import key, meter, stream

    part = kind()
    per_quarter = piece.steps_per_quarter
    metres = _metre_changes(piece)
    metre = meter.TimeSignature("4/4")
    for bar, low in enumerate(lines[:-1]):
        changes: list[Any] = []
        if not bar:
            alone = len(staff.tracks) == 1 and kind is stream.Part
            changes += [_clef(staff.mean_pitch, alone), key.KeySignature(fifths)]
        if int(low) in metres:
            metre = meter.TimeSignature(metres[int(low)])
            changes.append(metre)
        first = int(piece.bar_position[low])
        notes = [track[bar] for track in staff.tracks]
        length = int(lines[bar + 1] - low)
        measure = _measure(notes, notation.Bar(length, first, metre, per_quarter))
        for change in changes:
            measure.insert(0, change)
        measure.number = bar + (not piece.bar_position[:1].any())
        part.insert(int(low) / per_quarter, measure)
    measure.rightBarline = "final"
    part.makeAccidentals(inPlace=True)
    return part


def _metre_changes(piece: Matrices) -> dict[int, str]:
    """The time signatures by the step where each begins."""
    signatures = piece.time_signatures or bars.guessed(
        piece.bar_position, piece.steps_per_quarter
    )
    changes: dict[int, str] = {}
    for step, above, below in signatures:
        if f"{above}/{below}" not in [*changes.values()][-1:]:
            changes[step] = f"{above}/{below}"
    return changes


def _measure(tracks: Sequence[list[notation.Note]], bar: notation.Bar) -> Any:
    """A music21 Measure of the notes of each track on the staff."""
    from music21 import stream

    measure = stream.Measure()
    measure.paddingLeft = bar.first / bar.per_quarter
    voices = [
        voice for notes in tracks for voice in notation.voices_of(notes, bar.length)
    ]
    for k, chords in enumerate(voices):
        voice = measure if len(voices) == 1 else stream.Voice(id=str(k + 1))
        # Rests are shown for every track, but not for further voices of a track.
        hidden = k > 0 and len(tracks) == 1
        signs = list(_signs(chords, bar, hidden=hidden))
        beams = bar.metre.getBeams([sign for _, sign in signs], measure.paddingLeft)
        for (offset, sign), own in zip(signs, beams, strict=True):
            if own and not sign.isRest:
                sign.beams = own
            if len(tracks) > 1 and not sign.isRest:
                sign.stemDirection = "down" if k else "up"
            voice.insert(offset, sign)
        if voice is not measure:
            measure.insert(0, voice)
    return measure


def _instrument(track: TrackCells, number: int) -> Any:
    from music21 import instrument

    made: Any
    if track.is_drum:
        made = instrument.UnpitchedPercussion()
    else:
        made = instrument.instrumentFromMidiProgram(track.program)
    made.partId, made.instrumentId = f"P{number}", f"P{number}-I1"
    made.partName = track.name or made.instrumentName
    made.partAbbreviation = made.instrumentAbbreviation = ""
    return made


def _clef(mean_pitch: float, alone: bool) -> Any:
    """The clef of a staff; a part alone on its staff may get the tenor clef."""
    from music21 import clef

    if mean_pitch >= _MIDDLE_C - 1:
        return clef.TrebleClef()
    tenor = alone and mean_pitch >= _MIDDLE_C - _TENOR_SEMITONES
    return clef.Treble8vbClef() if tenor else clef.BassClef()


def _signs(
    chords: Sequence[list[notation.Note]], bar: notation.Bar, *, hidden: bool
) -> Iterator[tuple[float, Any]]:
    """Notes, chords and rests of a voice that fill a bar, with their offsets."""
    from music21 import note

    at = 0
    for chord in [*chords, []]:
        start = chord[0].start if chord else bar.length
        for low, high in notation.single_signs(at, start, bar):
            rest = note.Rest(quarterLength=(high - low) / bar.per_quarter)
            # Set here, so that music21 need not search the whole part.
            rest.fullMeasure = high - low == bar.length
            rest.style.hideObjectOnPrint = hidden
            yield low / bar.per_quarter, rest
        if chord:
            at = chord[0].end
            for low, high in notation.single_signs(start, at, bar):
                cut = [notation.cut(note, low, high) for note in chord]
                yield low / bar.per_quarter, _sign(cut, (high - low) / bar.per_quarter)


def _sign(notes: Sequence[notation.Note], quarters: float) -> Any:
    """A music21 Note or Chord for notes that begin and end together."""
    from music21 import chord, note, tie

    made = []
    for own in notes:
        sign = note.Note(own.name, octave=own.octave, quarterLength=quarters)
        sign.volume.velocity = own.velocity
        if own.before or own.after:
            kind = (
                "start" if not own.before else "stop" if not own.after else "continue"
            )
            sign.tie = tie.Tie(kind)
        made.append(sign)
    return made[0] if len(made) == 1 else chord.Chord(made, quarterLength=quarters)
