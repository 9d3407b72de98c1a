"""Title, composer and arranger: what each reader finds and what is kept."""

import dataclasses

import pytest
import smf

from poph_tf.data import credits, matrices, midi, notes, reading

MUSICXML = """<score-partwise>{}<part-list><score-part id="P"/></part-list>
<part id="P"><measure><note><pitch><step>C</step>
<octave>4</octave></pitch><duration>1</duration></note></measure></part>
</score-partwise>"""
MEI = """<mei><meiHead><fileDesc><titleStmt>{}</titleStmt></fileDesc></meiHead><music>
<body><mdiv><score><scoreDef/><section><measure><staff n="1"><layer><note pname="c"
oct="4" dur="1"/></layer></staff></measure>
</section></score></mdiv></body></music></mei>"""
HYMN, SINGER = "Morning hymn", "A. Singer"
BOTH = {"title": HYMN, "composer": SINGER, "arranger": ""}
NOTE = [smf.on(0, 60), smf.off(480, 60)]


def name(text):
    return (0, 0xFF, 3, len(text), *text.encode())


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("a.abc", f"X:1\nT:{HYMN}\nT:or\nC:{SINGER}\nK:G\nG4|\nC:X\n", BOTH),
        ("a.krn", f"!!!COM: {SINGER}\n!!!OTL: {HYMN}\n**kern\n4c\n*-\n", BOTH),
        (
            "a.musicxml",
            MUSICXML.format(
                f"<work><work-title>{HYMN}</work-title></work>"
                f"<identification><creator type='composer'>{SINGER}</creator>"
                "<creator type='lyricist'>C. Poet</creator>"
                "<creator type='arranger'>B. Player</creator></identification>"
            ),
            {**BOTH, "arranger": "B. Player"},
        ),
        (
            "a.musicxml",
            MUSICXML.format(f"<movement-title>{HYMN}</movement-title>"),
            {**BOTH, "composer": ""},
        ),
        (
            "a.mei",
            MEI.format(f"<title>{HYMN}</title><composer>{SINGER}</composer>"),
            BOTH,
        ),
        (
            "a.mei",
            MEI.format(
                f"<title>{HYMN}</title><respStmt><persName role='lyricist'>C. Poet"
                f"</persName><persName role='composer'>{SINGER}</persName></respStmt>"
            ),
            BOTH,
        ),
        ("a.mid", smf.file([name(HYMN)], [name("alto"), *NOTE]), {"title": HYMN}),
        ("a.mid", smf.file([name(HYMN), *NOTE], kind=0), {"title": HYMN}),
        # A first track with notes is a part like the others, so its name is no title.
        ("a.mid", smf.file([name("alto"), *NOTE], [name("bass"), *NOTE]), {}),
    ],
)
def test_readers_find_title_composer_and_arranger(file, content, found):
    data = content if isinstance(content, bytes) else content.encode()
    (piece,) = reading.parse(data, file).values()
    expected = dict.fromkeys(credits.NAMES, "") | found
    assert credits.of(reading.to_notes(piece)) == expected
    assert credits.of(matrices.from_notes(reading.to_notes(piece))) == expected


def test_a_sequence_keeps_them_and_a_midi_file_the_title():
    tune = reading.to_notes(
        next(iter(reading.parse(b"X:1\nK:G\nG|", "a.abc").values()))
    )
    tune = dataclasses.replace(tune, **BOTH | {"arranger": "B. Player"})
    piece = matrices.from_notes(tune)
    for sequence in (notes.to_sequence(tune), matrices.to_sequence(piece)):
        assert credits.of(notes.from_sequence(sequence)) == credits.of(tune)
    (again,) = reading.parse(midi.to_bytes(sequence), "a.mid").values()
    assert credits.of(again) == {"title": HYMN, "composer": "", "arranger": ""}
