"""Ornaments as played, against values worked by hand, at 120 qpm."""

from fractions import Fraction

import musicxml as xml
import pytest

from poph_tf.data import humdrum, musicxml, score_sequence
from poph_tf.data.score import Note
from poph_tf.data.tones import Tone

F = Fraction


def sign(name, more=""):
    ornaments = f"<ornaments><{name}/>{more}</ornaments>"
    return f"<notations>{ornaments}</notations>"


def played(score):
    tones = score_sequence.played(score, "played")
    return [(tone.note.pitch, tone.start, tone.end) for tone in tones]


def rows(*bodies, first=None):
    return played(musicxml.parse(xml.score(*bodies, first=first).encode(), "a"))


def key(fifths):
    return xml.attributes(more=f"<key><fifths>{fifths}</fifths></key>")


def each(pitches, unit, start=0):
    """Returns consecutive notes of equal length."""
    return [
        (pitch, start + k * unit, start + (k + 1) * unit)
        for k, pitch in enumerate(pitches)
    ]


def test_a_trill_is_32nds_between_the_note_and_the_one_above():
    trill = xml.note("C4", 2, sign("trill-mark"))
    assert rows(trill) == each([60, 62] * 4, F(1, 8))
    # Of five 32nds, the last note of the second pair takes two.
    trill = xml.note("C4", 5, sign("trill-mark"))
    found = rows(trill, first=xml.attributes(divisions=8))
    assert found == [*each([60, 62, 60], F(1, 8)), (62, F(3, 8), F(5, 8))]


@pytest.mark.parametrize(
    ("name", "pitches"),
    [
        ("turn", [64, 62, 60, 62]),
        ("inverted-turn", [60, 62, 64, 62]),
        ("mordent", [62, 60, 62]),
        ("inverted-mordent", [62, 64, 62]),
    ],
)
def test_the_last_note_of_turns_and_mordents_lasts_to_the_end(name, pitches):
    found = rows(xml.note("D4", 4, sign(name)))
    expected = each(pitches, F(1, 8))
    expected[-1] = (*expected[-1][:2], 2)
    assert found == expected


@pytest.mark.parametrize(
    ("fifths", "pitch", "neighbours"),
    [
        (0, "E4", (62, 65)),
        (1, "E4", (62, 66)),
        (-2, "D4", (60, 63)),
        (-7, "C4", (58, 61)),
        (7, "E4", (63, 66)),
        (0, "B3", (57, 60)),
        (0, "C4", (59, 62)),
    ],
)
def test_the_neighbours_are_those_of_the_key(fifths, pitch, neighbours):
    found = [
        row[0] for row in rows(xml.note(pitch, 4, sign("turn")), first=key(fifths))
    ]
    assert (found[2], found[0]) == neighbours


def test_accidentals_before_it_in_the_bar_hold_for_the_neighbours():
    trill = xml.note("E4", 2, sign("trill-mark"))
    sharp, natural = xml.note("F4", 2, alter=1), xml.note("F4", 2, alter=0)
    assert {row[0] for row in rows(sharp + trill)[1:]} == {64, 66}
    assert {row[0] for row in rows(trill + sharp)[:-1]} == {64, 65}
    assert {row[0] for row in rows(sharp + natural + trill)[2:]} == {64, 65}
    # Not in another octave, nor after the bar line.
    high = xml.note("F5", 2, alter=1)
    assert {row[0] for row in rows(high + trill)[1:]} == {64, 65}
    rests = xml.notes("r r r")
    assert {row[0] for row in rows(sharp + rests, trill)[1:]} == {64, 65}


def test_accidentals_at_the_sign_come_first():
    def found(name, mark):
        return [row[0] for row in rows(xml.note("D4", 2, sign(name, mark)))]

    flat = "<accidental-mark>flat</accidental-mark>"
    assert found("trill-mark", flat)[:2] == [62, 63]
    below = '<accidental-mark placement="below">sharp</accidental-mark>'
    assert found("turn", flat + below) == [63, 62, 61, 62]
    assert found("mordent", "<accidental-mark>sharp</accidental-mark>") == [62, 61, 62]


def test_a_transposing_part_has_the_neighbours_of_its_own_key():
    # A clarinet in B flat reads E and F sharp in G major, which sound D and E.
    more = (
        "<key><fifths>1</fifths></key><transpose><chromatic>-2</chromatic></transpose>"
    )
    found = rows(xml.note("E4", 2, sign("trill-mark")), first=xml.attributes(more=more))
    assert {row[0] for row in found} == {62, 64}


def test_short_notes_have_shorter_ornaments_down_to_64_notes_a_second():
    def found(duration):
        first = xml.attributes(divisions=16)
        return rows(xml.note("C4", duration, sign("trill-mark")), first=first)

    assert found(4) == each([60, 62, 60, 62], F(1, 16))
    assert found(2) == each([60, 62, 60, 62], F(1, 32))
    assert found(1) == [(60, 0, F(1, 16))]


def test_slow_pieces_have_ornaments_of_at_least_eight_notes_a_second():
    slow = xml.sound(tempo=30)
    found = rows(slow + xml.note("C4", 2, sign("inverted-mordent")))
    assert [row[1] for row in found] == [0, F(1, 16), F(1, 8)]


def test_all_notes_of_a_chord_and_of_a_tie_have_its_ornament():
    chord = xml.note("C4", 2, sign("mordent")) + xml.note("E4", 2, before="<chord/>")
    assert sorted(rows(chord)) == sorted(
        [
            *[(60, 0, F(1, 8)), (59, F(1, 8), F(1, 4)), (60, F(1, 4), 1)],
            *[(64, 0, F(1, 8)), (62, F(1, 8), F(1, 4)), (64, F(1, 4), 1)],
        ]
    )
    tied = xml.note("C4", 2, '<tie type="start"/>') + xml.note(
        "C4", 2, '<tie type="stop"/>' + sign("trill-mark")
    )
    assert rows(tied) == each([60, 62] * 8, F(1, 8))


def test_grace_notes_behind_a_trill_end_it():
    trill = xml.note("C4", 2, sign("trill-mark"))
    found = rows(trill + xml.grace("B3") + xml.note("C4", 2))
    # The grace note takes a twelfth of a quarter, the sixth trill note all before it.
    assert found[:6] == [*each([60, 62] * 3, F(1, 8))[:5], (62, F(5, 8), F(11, 12))]
    assert found[6:] == [(59, F(11, 12), 1), (60, 1, 2)]


@pytest.mark.parametrize(("direction", "order"), [("", (0, 1, 2)), ("down", (2, 1, 0))])
def test_the_notes_of_an_arpeggio_begin_a_15th_of_a_second_apart(direction, order):
    kind = f' direction="{direction}"' if direction else ""
    mark = f"<notations><arpeggiate{kind}/></notations>"
    tones = [xml.note(pitch, 2, mark) for pitch in ("E4", "C4", "G4")]
    tones[1:] = [tone.replace("<note>", "<note><chord/>") for tone in tones[1:]]
    back = "<backup><duration>2</duration></backup>"
    bass = xml.note("C3", 2, "<voice>2</voice>")
    found = rows("".join(tones) + back + bass)
    expected = [
        (pitch, place * F(2, 15), 1)
        for pitch, place in zip((60, 64, 67), order, strict=True)
    ]
    assert sorted(found) == [(48, 0, 1), *expected]


def test_a_short_arpeggio_is_within_its_chord():
    mark = "<notations><arpeggiate/></notations>"
    pair = [xml.note(pitch, 1, mark) for pitch in ("C4", "E4")]
    text = pair[0] + pair[1].replace("<note>", "<note><chord/>")
    found = rows(text, first=xml.attributes(divisions=8))
    assert found == [(60, 0, F(1, 8)), (64, F(1, 16), F(1, 8))]


def test_drums_and_pitches_beyond_midi_are_as_written():
    trill = sign("trill-mark")
    channel = (
        '<midi-instrument id="I"><midi-channel>10</midi-channel></midi-instrument>'
    )
    drums = xml.PART.replace("</score-part>", f"{channel}</score-part>")
    text = xml.score(xml.note("C4", 2, trill), part_list=drums)
    assert played(musicxml.parse(text.encode(), "a")) == [(60, 0, 1)]
    assert rows(xml.note("G9", 2, trill)) == [(127, 0, 1)]


@pytest.mark.parametrize(
    ("token", "pitches"),
    [
        ("4cT", [60, 62] * 4),
        ("4ct", [60, 61] * 4),
        ("4cM", [60, 58, 60]),
        ("4cm", [60, 59, 60]),
        ("4cW", [60, 62, 60]),
        ("4cS", [62, 60, 58, 60]),
        ("4c$", [58, 60, 62, 60]),
        ("4cO", [60]),
    ],
)
def test_humdrum_says_the_intervals(token, pitches):
    text = "\n".join(("**kern", "*M4/4", token, "*-"))
    found = played(humdrum.parse(text.encode(), "a"))
    assert [row[0] for row in found] == pitches


def test_a_trill_without_an_end_has_at_most_1024_notes():
    note = Note(F(0), F(100_000), 60, mark="trill")
    tone = Tone(F(0), note.length, note, F(0))
    found = list(score_sequence.ornaments_lib.play([tone], [(F(0), 120.0)]))
    assert len(found) == 1024 and found[-1].end == 100_000
