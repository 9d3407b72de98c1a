"""Tests of scores: how pitches are spelled, what MusicXML holds."""

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poph_tf.config.tracks import Track
from poph_tf.data import matrices as matrices_lib
from poph_tf.data.cells import spans
from poph_tf.rendering import musicxml, spelling

PIANO = (Track("Piano"),)
VOICES = tuple(Track(name, voice=True) for name in ("S", "A", "T", "B"))


def names(pitches, sharps=None):
    letter, alter, octave = spelling.spell(np.array(pitches), sharps)
    signs = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
    return [
        spelling.LETTERS[k] + signs[a] + str(o)
        for k, a, o in zip(letter, alter, octave, strict=True)
    ]


def test_a_part_is_spelled_for_the_signature_that_it_stands_under():
    scale = [66, 68, 70, 71, 73, 75, 77, 78]
    assert names(scale, 6) == ["F#4", "G#4", "A#4", "B4", "C#5", "D#5", "E#5", "F#5"]
    assert names(scale, -6) == ["Gb4", "Ab4", "Bb4", "Cb5", "Db5", "Eb5", "F5", "Gb5"]


def test_all_parts_are_spelled_alike():
    tracks = (Track("one"), Track("two"))
    d_flat_major = [61, 63, 65, 66, 68, 70, 72, 73]
    notes = [(0, 2 * k, 2 * k + 2, pitch) for k, pitch in enumerate(d_flat_major)]
    notes += [(1, 0, 8, 61), (1, 8, 16, 66)]
    assert names([61, 66]) == ["C#4", "F#4"]
    root = written(piece(*notes, tracks=tracks))
    assert {fifths.text for fifths in root.iter("fifths")} == {"-5"}
    assert [alter.text for alter in root.iter("alter")] == ["-1"] * 8


@pytest.mark.parametrize(
    ("pitches", "key", "fifths"),
    [
        ([66, 66, 66, 68, 71, 77, 65, 66], "", "6"),
        ([66, 66, 66, 68, 71, 77, 65, 66], "F# major", "6"),
        ([66, 66, 66, 68, 71, 77, 65, 66], "C major", "-6"),
        ([61, 66, 70, 71, 73, 68, 65, 66], "Eb minor", "-6"),
    ],
)
def test_a_key_of_two_spellings_is_written_as_it_is_named(pitches, key, fifths):
    notes = [(0, 2 * k, 2 * k + 2, pitch) for k, pitch in enumerate(pitches)]
    root = written(piece(*notes, key=key))
    assert [each.text for each in root.iter("fifths")] == [fifths]


def piece(*notes, length=16, first=0, tracks=PIANO, **fields):
    """A piece of notes (track, start, end, pitch) in 4/4."""
    stack = np.zeros((length, len(tracks), 128, 3), np.uint8)
    for track, start, end, pitch in notes:
        stack[start:end, track, pitch] = (1, 0, 80)
        stack[start, track, pitch, 1] = 1
    position = ((np.arange(length) + first) % 16).astype(np.uint8)
    return matrices_lib.from_stack(stack, tracks, position, **fields)


def written(made, **options):
    return ElementTree.fromstring(musicxml.to_musicxml(made, **options))


def signs(root):
    """(bar number, name, sign, ties) of each note."""
    found = []
    for measure in root.iter("measure"):
        for note in measure.iter("note"):
            pitch = note.find("pitch")
            if pitch is not None:
                name = "".join(pitch.findtext(k, "") for k in ("step", "octave"))
                ties = [tie.get("type") for tie in note.findall("tie")]
                found.append((measure.get("number"), name, note.findtext("type"), ties))
    return found


@pytest.mark.parametrize(
    ("pitches", "expected"),
    [
        ([62, 64, 66, 67, 69, 71, 73, 74], "D4 E4 F#4 G4 A4 B4 C#5 D5"),
        ([60, 62, 63, 65, 67, 68, 70, 72], "C4 D4 Eb4 F4 G4 Ab4 Bb4 C5"),
        # A minor with its raised leading note, the piece's last but one.
        ([69, 71, 72, 74, 76, 77, 80, 81], "A4 B4 C5 D5 E5 F5 G#5 A5"),
        # Not C sharp major, which takes seven sharps.
        ([61, 63, 65, 66, 68, 70, 72, 73], "Db4 Eb4 F4 Gb4 Ab4 Bb4 C5 Db5"),
        # C flat belongs to the octave of its letter: it sounds as the B below.
        ([63, 65, 66, 68, 70, 71, 73, 75], "Eb4 F4 Gb4 Ab4 Bb4 Cb5 Db5 Eb5"),
        ([61, 63, 64, 66, 68, 69, 72, 73], "C#4 D#4 E4 F#4 G#4 A4 B#4 C#5"),
    ],
)
def test_notes_are_spelled_by_the_notes_around(pitches, expected):
    assert names(pitches) == expected.split()


@given(st.lists(st.integers(0, 127), max_size=80))
def test_a_spelling_names_its_pitch(pitches):
    letter, alter, octave = spelling.spell(np.array(pitches, int))
    above_c = np.array([9, 11, 0, 2, 4, 5, 7])[letter]
    assert (12 * (octave + 1) + above_c + alter == pitches).all()
    assert not len(alter) or abs(alter).max() <= 2


@pytest.mark.parametrize(
    ("pitches", "sharps"),
    [([60, 64, 67, 71, 65], 0), ([62, 66, 69, 73, 67], 2), ([65, 69, 70, 72, 76], -1)],
)
def test_the_key_signature_leaves_the_fewest_accidentals(pitches, sharps):
    letter, alter, _ = spelling.spell(np.array(pitches))
    assert spelling.key_signature(letter, alter) == sharps


def test_a_note_over_the_bar_line_is_cut_and_tied():
    made = piece((0, 12, 20, 72), length=32)
    assert signs(written(made)) == [
        ("1", "C5", "quarter", ["start"]),
        ("2", "C5", "quarter", ["stop"]),
    ]


def test_lengths_without_a_sign_of_their_own_are_tied():
    # Five sixteenths on the beat; an eighth off the beat that would hide beat three.
    made = piece((0, 0, 5, 72), (0, 6, 10, 74))
    assert signs(written(made)) == [
        ("1", "C5", "quarter", ["start"]),
        ("1", "C5", "16th", ["stop"]),
        ("1", "D5", "eighth", ["start"]),
        ("1", "D5", "eighth", ["stop"]),
    ]


@pytest.mark.parametrize(
    ("metre", "spans", "expected"),
    [
        ((4, 4), [(2, 6), (6, 8)], ["quarter", "eighth"]),
        ((4, 4), [(4, 12)], ["half"]),
        ((4, 4), [(0, 6), (6, 8)], ["quarter.", "eighth"]),
        ((6, 8), [(0, 6), (6, 12)], ["quarter.", "quarter."]),
        ((6, 8), [(4, 8)], ["eighth", "eighth"]),
        ((3, 4), [(0, 12)], ["half."]),
    ],
)
def test_signs_show_the_beat(metre, spans, expected):
    length = 16 * metre[0] // metre[1]
    notes = [(0, *span, 72) for span in spans]
    made = piece(*notes, length=length, time_signatures=((0, *metre),))
    shown = [
        note.findtext("type") + "." * len(note.findall("dot"))
        for note in written(made).iter("note")
        if note.find("pitch") is not None
    ]
    assert shown == expected


def test_an_upbeat_is_a_bar_of_its_own_before_the_first():
    made = piece((0, 0, 4, 67), (0, 4, 20, 72), length=20, first=12)
    root = written(made)
    assert [m.get("number") for m in root.iter("measure")] == ["0", "1"]
    assert signs(root) == [("0", "G4", "quarter", []), ("1", "C5", "whole", [])]


def test_notes_together_form_chords_and_others_take_voices():
    made = piece((0, 0, 8, 72), (0, 0, 8, 76), (0, 4, 16, 67))
    root = written(made)
    voices = {
        note.findtext("pitch/step"): note.findtext("voice")
        for note in root.iter("note")
    }
    assert voices["C"] == voices["E"] != voices["G"]
    assert len(root.findall(".//chord")) == 1


def test_more_than_four_voices_become_tied_chords():
    notes = [(0, k, k + 8, 60 + 2 * k) for k in range(8)]
    root = written(piece(*notes))
    assert {note.findtext("voice") for note in root.iter("note")} <= {"1", None}
    assert _spans_of(root) == {(k, k + 8, 60 + 2 * k) for k in range(8)}


def test_eighths_are_beamed_by_the_beat():
    made = piece(*((0, 2 * k, 2 * k + 2, 72 + k) for k in range(8)))
    beams = [beam.text for beam in written(made).iter("beam")]
    assert beams == ["begin", "end"] * 4


def test_each_track_is_a_part_with_its_name_and_program():
    tracks = (Track("Flute", program=73), Track("Cello", program=42))
    root = written(piece((0, 0, 16, 79), (1, 0, 16, 43), tracks=tracks))
    assert [p.text for p in root.iter("part-name")] == ["Flute", "Cello"]
    assert [p.text for p in root.iter("midi-program")] == ["74", "43"]
    assert [s.text for s in root.iter("sign")] == ["G", "F"]


def test_a_piano_has_two_staves_and_a_voice_has_one():
    low_and_high = [(0, 0, 8, 40), (0, 0, 8, 80)]
    assert written(piece(*low_and_high)).findtext(".//staves") == "2"
    one_by_one = [(0, 0, 8, 40), (0, 8, 16, 80)]
    assert written(piece(*one_by_one)).find(".//staves") is None


def choir():
    notes = [
        (0, 0, 16, 72),
        (1, 0, 8, 67),
        (1, 8, 16, 69),
        (2, 0, 16, 60),
        (3, 0, 16, 48),
    ]
    return piece(*notes, tracks=VOICES, title="Amen", tempo_qpm=80.0)


def test_a_choir_reads_from_two_staves():
    made = choir()
    assert musicxml.is_choir(made) and not musicxml.is_choir(piece((0, 0, 4, 60)))
    assert len(written(made).findall("part")) == 4
    closed = written(made, closed=True)
    assert closed.findtext(".//staves") == "2"
    stems = [
        (n.findtext("pitch/step"), n.findtext("stem")) for n in closed.iter("note")
    ]
    assert stems[:3] == [("C", "up"), ("G", "down"), ("A", "down")]
    assert _spans_of(closed) == _spans_of(written(made))


def test_a_score_says_title_tempo_key_and_metre_once():
    root = written(choir())
    assert root.findtext("work/work-title") == "Amen"
    assert [sound.get("tempo") for sound in root.iter("sound")] == ["80"]
    assert len(root.findall(".//time")) == len(root.findall("part")) == 4


def test_a_score_names_composer_and_arranger_and_nobody_else():
    named = {"composer": "A. Singer", "arranger": "Harmonized by poph_tf"}
    root = written(piece((0, 0, 4, 60), **named))
    assert {c.get("type"): c.text for c in root.iter("creator")} == named
    assert not list(written(piece((0, 0, 4, 60))).iter("creator"))


def test_the_same_piece_is_the_same_file():
    assert musicxml.to_musicxml(choir()) == musicxml.to_musicxml(choir())


@st.composite
def pieces(draw):
    length, tracks = draw(st.integers(1, 40)), draw(st.integers(1, 2))
    spots = st.tuples(
        st.integers(0, tracks - 1),
        st.integers(0, length - 1),
        st.integers(1, 20),
        st.integers(0, 127),
    )
    notes = [
        (track, start, min(start + size, length), pitch)
        for track, start, size, pitch in draw(st.lists(spots, min_size=1, max_size=12))
    ]
    first = draw(st.integers(0, 15))
    named = tuple(Track(f"track-{k}") for k in range(tracks))
    return piece(*notes, length=length, first=first, tracks=named)


@settings(max_examples=25, deadline=None)
@given(pieces())
def test_what_is_written_is_read_back(made):
    root = ElementTree.fromstring(musicxml.to_musicxml(made))
    own = zip(*spans(made.cells)[:3], strict=True)
    one = dataclasses.replace(made, tracks=())
    merged = ElementTree.fromstring(musicxml.to_musicxml(one))
    assert _spans_of(merged) == {tuple(map(int, note)) for note in own}
    by_track = [
        {tuple(map(int, note)) for note in zip(*spans(track.cells)[:3], strict=True)}
        for track in made.tracks
    ]
    for part, expected in zip(root.findall("part"), by_track, strict=True):
        assert _spans_of(part) == expected


def _spans_of(root):
    """(start, end, pitch) in steps of the notes of MusicXML, ties joined."""
    found = set()
    for part in root.iter("part"):
        begin, open_ties = 0, {}
        for measure in part.findall("measure"):
            at = longest = previous = 0
            divisions = int(part.findtext(".//divisions"))
            for element in measure:
                size = int(element.findtext("duration", "0")) * 4 // divisions
                if element.tag == "backup":
                    at -= size
                elif element.tag == "forward":
                    at += size
                elif element.tag == "note":
                    start = previous if element.find("chord") is not None else at
                    previous, at = start, max(at, start + size)
                    _join(element, begin + start, size, open_ties, found)
                longest = max(longest, at)
            begin += longest
        assert not open_ties
    return found


def _join(note, start, size, open_ties, found):
    pitch = note.find("pitch")
    if pitch is None:
        return
    above_c = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
    number = 12 * (int(pitch.findtext("octave")) + 1) + above_c[pitch.findtext("step")]
    number += int(pitch.findtext("alter", "0"))
    ties = [tie.get("type") for tie in note.findall("tie")]
    onset = open_ties.pop((number, start)) if "stop" in ties else start
    if "start" in ties:
        open_ties[number, start + size] = onset
    else:
        found.add((onset, start + size, number))
