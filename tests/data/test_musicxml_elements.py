"""MusicXML elements besides notes, rests and repeats; values worked by hand."""

import musicxml as xml
import pytest
from musicxml import WHOLE, pitches, rows, sequence_of

from poph_tf.data import musicxml

DRUMS = (
    '<score-part id="P1"><part-name>Drums</part-name>'
    '<midi-instrument id="P1-I1"><midi-channel>10</midi-channel>'
    "<midi-program>1</midi-program><midi-unpitched>37</midi-unpitched>"
    "</midi-instrument></score-part>"
)
UNPITCHED = (
    "<note><unpitched><display-step>E</display-step><display-octave>4</display-octave>"
    "</unpitched><duration>8</duration>{}</note>"
)


def test_unpitched_parts_are_drums():
    instrument = '<instrument id="P1-I1"/>'
    text = xml.score(UNPITCHED.format(instrument), part_list=DRUMS)
    (drum,) = sequence_of(text).notes
    assert drum.is_drum and drum.pitch == 36  # midi-unpitched counts from 1
    (drum,) = sequence_of(xml.score(UNPITCHED.format(""))).notes
    assert drum.is_drum and drum.pitch == 38  # a snare drum by default
    for channel in (9, 10, 11):
        part = DRUMS.replace(">10<", f">{channel}<")
        (drum,) = sequence_of(xml.score(WHOLE, part_list=part)).notes
        assert drum.is_drum == (channel == 10)


def test_programs_count_from_1_and_parts_keep_their_names():
    violin = (
        '<score-part id="P1"><part-name>Violin</part-name><midi-instrument id="I">'
        "<midi-program>41</midi-program></midi-instrument></score-part>"
    )
    other = xml.PART.replace("P1", "P2").replace(">A<", ">Bass\n<")
    text = xml.parts([xml.measures(WHOLE), xml.measures(WHOLE)], violin + other)
    sequence = sequence_of(text)
    assert [(n.program, n.instrument, n.part) for n in sequence.notes] == [
        (40, 0, 0),
        (0, 1, 1),
    ]
    assert [info.name for info in sequence.part_infos] == ["Violin", "Bass"]
    assert [info.name for info in sequence.instrument_infos] == ["Violin", "Bass"]


def test_unknown_chord_symbols_and_keys_do_not_cost_the_file():
    harmony = "<harmony><root><root-step>H</root-step></root><kind>odd</kind></harmony>"
    key = "<key><key-step>X</key-step><key-alter>?</key-alter></key>"
    first = xml.attributes(more=key)
    assert rows(xml.score(harmony + WHOLE, first=first)) == [(60, 0, 4)]


@pytest.mark.parametrize(
    ("fifths", "mode", "expected"),
    [
        *(("2", "major", (2, 0)), ("-3", "minor", (0, 1)), ("0", "none", (0, 2))),
        *(("9", "major", (1, 0)), ("-9", "major", (11, 0))),  # at most seven
    ],
)
def test_keys_are_those_of_the_fifths(fifths, mode, expected):
    key = f"<key><fifths>{fifths}</fifths><mode>{mode}</mode></key>"
    first = xml.attributes(more=key)
    (found,) = sequence_of(xml.score(WHOLE, first=first)).key_signatures
    assert (found.key, found.mode) == expected
    # A transposing part states no key.
    moved = xml.attributes(
        more=f"<transpose><chromatic>-2</chromatic></transpose>{key}"
    )
    assert not sequence_of(xml.score(WHOLE, first=moved)).key_signatures


@pytest.mark.parametrize(
    ("sign", "qpm"),
    [
        ("<beat-unit>quarter</beat-unit><per-minute>90</per-minute>", 90),
        ("<beat-unit>eighth</beat-unit><per-minute>120.5</per-minute>", 60.25),
        (
            "<beat-unit>quarter</beat-unit><beat-unit-dot/><per-minute>60</per-minute>",
            90,
        ),
        ("<beat-unit>half</beat-unit><beat-unit>quarter</beat-unit>", 120),
        ("<beat-unit>quarter</beat-unit><per-minute>fast</per-minute>", 120),
    ],
)
def test_metronome_marks(sign, qpm):
    mark = xml.direction(f"<metronome>{sign}</metronome>")
    (tempo,) = sequence_of(xml.score(mark + WHOLE)).tempos
    assert tempo.qpm == qpm


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("<chromatic>0</chromatic><double above='yes'/>", 72),
        ("<chromatic>-13</chromatic>", 47),
    ],
)
def test_doublings_and_transpositions_by_more_than_an_octave(more, expected):
    first = xml.attributes(more=f"<transpose>{more}</transpose>")
    assert pitches(xml.score(WHOLE, first=first)) == [expected]


def test_notes_beyond_the_pitches_of_midi_are_left_out_and_counted():
    text = xml.score(xml.note("G9", 4) + xml.note("A9", 2) + xml.note("C-1", 2))
    assert rows(text) == [(127, 0, 2), (0, 3, 4)]
    repairs = musicxml.parse(text.encode(), "a").repairs
    assert repairs == {"notes beyond MIDI's pitches left out": 1}


def test_lengths_without_a_duration_are_those_of_the_type():
    typed = [xml.note("C4", 0, f"<type>{name}</type>") for name in ("half", "eighth")]
    text = xml.score("".join(typed) + xml.note("E4", 3))
    assert rows(text) == [(60, 0, 2), (60, 2, 2.5), (64, 2.5, 4)]


def test_timewise_scores_are_read():
    body = xml.attributes() + WHOLE
    text = (
        f"<score-timewise><part-list>{xml.PART}{xml.PART.replace('P1', 'P2')}"
        f'</part-list><measure number="1"><part id="P1">{body}</part><part id="P2">'
        f'{xml.attributes()}{xml.note("G4", 8)}</part></measure><measure number="2">'
        f'<part id="P1">{xml.note("D4", 8)}</part></measure></score-timewise>'
    )
    assert rows(text) == [(60, 0, 4), (67, 0, 4), (62, 4, 8)]


def test_elements_may_be_in_a_namespace():
    text = xml.score(WHOLE).replace(" version", ' xmlns="urn:score" version')
    assert rows(text) == [(60, 0, 4)]
