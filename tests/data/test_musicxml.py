"""MusicXML against values worked by hand; a quarter has two divisions."""

import musicxml as xml
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from musicxml import WHOLE, grid, pitches, rows, sequence_of

from poph_tf.data import musicxml, notes, score_sequence


@pytest.mark.parametrize(
    ("pitch", "alter", "expected"),
    [
        *(("B3", 1, 60), ("C4", -1, 59), ("B3", 2, 61), ("F4", 2, 67)),
        # A quarter tone is rounded, and counted.
        *(("D4", "0.5", 62), ("D4", "-1.5", 60)),
    ],
)
def test_an_accidental_may_cross_the_octave(pitch, alter, expected):
    text = xml.score(xml.note(pitch, 8, alter=alter))
    assert pitches(text) == [expected]
    repairs = musicxml.parse(text.encode(), "a").repairs
    expected = {"microtones rounded": 1} if "." in str(alter) else {}
    assert repairs == expected
    assert notes.from_sequence(sequence_of(text)).repairs == expected


@pytest.mark.parametrize(
    ("transpose", "expected"),
    [
        ("<diatonic>-1</diatonic><chromatic>-2</chromatic>", 58),  # clarinet in B flat
        ("<chromatic>0</chromatic><octave-change>-1</octave-change>", 48),  # bass
        ("<chromatic>-2</chromatic><octave-change>-1</octave-change>", 46),
        ("<chromatic>0</chromatic><double/>", 48),
    ],
)
def test_transposing_instruments_sound_as_they_do(transpose, expected):
    first = xml.attributes(more=f"<transpose>{transpose}</transpose>")
    assert pitches(xml.score(WHOLE, first=first)) == [expected]


QUARTERS = xml.notes("C4 D4 E4 F4")
METRONOME = (
    "<metronome><beat-unit>half</beat-unit><per-minute>c. 30</per-minute></metronome>"
)


@pytest.mark.parametrize(
    "mark",
    [
        xml.sound(tempo=60),
        xml.direction("<words>slower</words>", xml.sound(tempo=60)),
        xml.direction(METRONOME),
    ],
)
@pytest.mark.parametrize("part", [0, 1])
def test_a_tempo_mark_in_mid_bar_of_any_part_holds_for_all(mark, part):
    marked = xml.notes("C4 D4") + mark + xml.notes("E4 F4")
    bodies = [xml.measures(QUARTERS), xml.measures(QUARTERS)]
    bodies[part] = xml.measures(marked)
    part_list = xml.PART + xml.PART.replace("P1", "P2")
    sequence = sequence_of(xml.parts(bodies, part_list))
    assert [(t.time, t.qpm) for t in sequence.tempos] == [(0, 120), (1, 60)]
    for instrument in (0, 1):
        own = [n.start_time for n in sequence.notes if n.instrument == instrument]
        assert own == [0, 0.5, 1, 2]


@pytest.mark.parametrize("divisions", [1, 2, 3, 480, 10080])
def test_a_pickup_ends_its_bar_whatever_the_divisions(divisions):
    first = xml.attributes(divisions)
    text = xml.score(
        xml.note("G4", divisions), xml.note("C4", 4 * divisions), first=first
    )
    piece = grid(text)
    assert piece.bar_position.tolist() == [12, 13, 14, 15, *range(16)]


def test_halves_of_a_bar_around_a_repeat_are_one_bar():
    halves = xml.notes("C4 D4") + xml.BACKWARD, xml.notes("E4 F4")
    piece = grid(xml.score(QUARTERS, *halves, QUARTERS))
    # Bars of four quarters and two; on the repeat, E4 F4 completes the second.
    expected = [*range(16), *range(8), *range(16), *range(16), *range(16)]
    assert piece.bar_position.tolist()[-32:] == expected[-32:]
    assert len(piece) == 16 * 4 + 8


def test_bars_without_notes_last_as_their_metre_says():
    assert rows(xml.score(WHOLE, "", WHOLE)) == [(60, 0, 4), (60, 8, 12)]
    whole_rest = '<note><rest measure="yes"/><duration>8</duration></note>'
    assert rows(xml.score(WHOLE, whole_rest, WHOLE)) == [(60, 0, 4), (60, 8, 12)]


def test_voices_and_staves_go_back_with_or_without_a_voice():
    back = "<backup><duration>8</duration></backup>"
    forward = "<forward><duration>4</duration></forward>"
    for voice in ("", "<voice>2</voice><staff>2</staff>"):
        low = xml.note("C3", 4, voice)
        found = rows(xml.score(WHOLE + back + forward + low, WHOLE))
        assert sorted(found) == [(48, 2, 4), (60, 0, 4), (60, 4, 8)]


def test_a_chord_without_a_first_note_begins_with_its_bar():
    chord = xml.note("E4", 8, before="<chord/>")
    assert rows(xml.score(WHOLE, chord))[1] == (64, 4, 8)


def test_a_chord_begins_with_its_first_note():
    chord = xml.note("E4", 4, before="<chord/>")
    assert rows(xml.score(xml.note("C4", 4) + chord + xml.note("G4", 4))) == [
        (60, 0, 2),
        (64, 0, 2),
        (67, 2, 4),
    ]


@pytest.mark.parametrize(
    ("time", "quarters", "expected"),
    [
        ("<beats>3+2</beats><beat-type>8</beat-type>", 2.5, (0, 5, 8)),
        (
            "<beats>3</beats><beat-type>8</beat-type>"
            "<beats>1</beats><beat-type>4</beat-type>",
            2.5,
            (0, 5, 8),
        ),
        ("<senza-misura/>", 7, (0, 7, 4)),
    ],
)
def test_metres_are_added_up_and_free_bars_are_as_long_as_they_are(
    time, quarters, expected
):
    first = f"<attributes><divisions>2</divisions><time>{time}</time></attributes>"
    body = xml.note("C4", int(2 * quarters))
    piece = grid(xml.score(body, body, first=first))
    assert piece.time_signatures == (expected,)
    steps = int(4 * quarters)
    assert piece.bar_position.tolist() == [*range(steps)] * 2


def test_a_change_of_metre_stands_at_its_bar():
    change = xml.attributes(time="3/4")
    piece = grid(xml.score(WHOLE, change + xml.note("D4", 6), xml.note("E4", 6)))
    assert piece.time_signatures == ((0, 4, 4), (16, 3, 4))


NUMBERED = [xml.note(f"{step}4", 8) for step in "CDEFGAB"]
A, B, C, D, E = NUMBERED[:5]
DA_CAPO, FINE = xml.sound(dacapo="yes"), xml.sound(fine="yes")
SEGNO, DAL_SEGNO = xml.sound(segno="1"), xml.sound(dalsegno="1")
TO_CODA, CODA = xml.sound(tocoda="1"), xml.sound(coda="1")


@pytest.mark.parametrize(
    ("bodies", "played", "once"),
    [
        ([A + xml.BACKWARD, B], "CCD", "CD"),
        ([A, xml.FORWARD + B + xml.BACKWARD, C], "CDDE", "CDE"),
        (
            # A first and a second ending.
            [
                *(A, xml.ending(1, "start") + B),
                C + xml.ending(1, "stop", '<repeat direction="backward"/>'),
                xml.ending(2, "start") + D + xml.ending(2, "discontinue"),
                E,
            ],
            "CDECFG",
            "CFG",
        ),
        (
            # Three times; the first ending is also played the second time.
            [
                A,
                xml.ending("1, 2", "start")
                + B
                + xml.ending("1, 2", "stop", '<repeat direction="backward"/>'),
                xml.ending(3, "start") + C + xml.ending(3, "stop"),
            ],
            "CDCDCE",
            "CE",
        ),
        ([A + xml.barline('<repeat direction="backward" times="3"/>')], "CCC", "C"),
        ([A + FINE, B + DA_CAPO, C], "CDC", "CDE"),
        ([A, SEGNO + B + FINE, C + DAL_SEGNO], "CDED", "CDE"),
        ([A, SEGNO + B + TO_CODA, C + DAL_SEGNO, CODA + D], "CDEDF", "CDEF"),
        # Repeats are not played again after da capo.
        ([A + xml.BACKWARD, B + FINE, C + DA_CAPO], "CCDECD", "CDE"),
        # The words alone have the same effect.
        (
            [
                A + xml.direction("<words>Fine</words>"),
                B + xml.direction("<words>D.C. al Fine</words>"),
            ],
            "CDC",
            "CD",
        ),
    ],
)
def test_repeats_are_played_as_players_play_them(bodies, played, once):
    text = xml.score(*bodies)
    names = {60: "C", 62: "D", 64: "E", 65: "F", 67: "G"}
    assert "".join(names[p] for p in pitches(text)) == played
    assert "".join(names[p] for p in pitches(text, "once")) == once


def test_grace_notes_steal_a_little_from_the_note_before():
    text = xml.score(xml.note("C4", 4) + xml.grace("A4") + xml.note("G4", 4))
    (c, a, g) = rows(text)
    assert a == pytest.approx((69, 2 - 1 / 12, 2), abs=1e-3)
    assert c == pytest.approx((60, 0, 2 - 1 / 12), abs=1e-3) and g == (67, 2, 4)


def test_a_grace_note_never_stands_alone_at_step_0():
    piece = grid(xml.score(xml.grace("A4") + xml.note("G4", 8)))
    assert np.flatnonzero(piece.play[0]).tolist() == [67, 69]
    assert len(piece) == 16


def test_grace_notes_in_a_row_share_their_time():
    found = rows(xml.score(WHOLE, xml.grace("A4") + xml.grace("B4") + WHOLE))
    times = [(p, start) for p, start, _ in found if p > 60]
    expected = [(69, 4 - 1 / 12), (71, 4 - 1 / 24)]
    assert times == [(p, pytest.approx(s, abs=1e-3)) for p, s in expected]


def test_cue_notes_are_silent_and_keep_their_time():
    text = xml.score(xml.note("C4", 4, before="<cue/>") + xml.note("G4", 4))
    assert rows(text) == [(67, 2, 4)]


def test_small_notes_sound_while_their_part_plays():
    small = xml.note("C5", 2, before="<cue/>")
    back = "<backup><duration>4</duration></backup>"
    own = back + xml.note("C4", 2, "<voice>2</voice>")
    assert rows(xml.score(small + small + own)) == [(60, 0, 1), (72, 0, 1)]


def test_small_notes_of_a_keyboard_alone_sound():
    piano = xml.attributes(more="<staves>2</staves>")
    text = xml.score(xml.note("C4", 8, before="<cue/>"), first=piano)
    assert rows(text) == [(60, 0, 4)]


@pytest.mark.parametrize(("count", "played"), [(64, 0), (65, 65)])
def test_a_part_made_of_small_notes_sounds(count, played):
    small = xml.note("C5", 2, before="<cue/>") * count
    assert len(rows(xml.score(WHOLE, small))) == 1 + played


def test_an_ornament_at_any_of_tied_notes_is_the_whole_notes():
    trill = "<notations><ornaments><trill-mark/></ornaments></notations>"
    first = xml.note("C4", 4, '<tie type="start"/>')
    text = xml.score(first + xml.note("C4", 4, f'<tie type="stop"/>{trill}'))
    [tone] = score_sequence.played(musicxml.parse(text.encode(), "a"))
    assert (tone.note.mark, tone.end) == ("trill", 4)


def tremolo(marks, kind="single"):
    mark = f'<tremolo type="{kind}">{marks}</tremolo>'
    return f"<type>half</type><notations><ornaments>{mark}</ornaments></notations>"


def test_a_tremolo_is_its_notes():
    # Two strokes: sixteenths.
    text = xml.score(xml.note("C4", 4, tremolo(2)) + xml.note("G4", 4))
    expected = [(60, k / 4, (k + 1) / 4) for k in range(8)]
    assert rows(text) == [*expected, (67, 2, 4)]
    pair = xml.note("C4", 2, tremolo(1, "start")) + xml.note(
        "G4", 2, tremolo(1, "stop")
    )
    expected = [(60 + 7 * (k % 2), k / 2, (k + 1) / 2) for k in range(4)]
    assert rows(xml.score(pair)) == expected


def test_tremolos_of_no_or_too_many_notes_are_one():
    assert rows(xml.score(xml.note("C4", 1, tremolo(1)))) == [(60, 0, 0.5)]
    long = xml.note("C4", 8 * 33, tremolo(1))
    assert len(rows(xml.score(long))) == 1  # 264 eighths
    pair = xml.note("C4", 1, tremolo(0, "start")) + xml.note(
        "G4", 1, tremolo(0, "stop")
    )
    assert rows(xml.score(pair)) == [(60, 0, 0.5), (67, 0.5, 1)]
    three = xml.note("C4", 2, tremolo("", "unmeasured"))
    assert len(rows(xml.score(three))) == 8


def test_a_metre_that_is_none_says_nothing():
    for time in ("<beats>0</beats><beat-type>4</beat-type>", "<beats>3</beats>"):
        first = f"<attributes><divisions>2</divisions><time>{time}</time></attributes>"
        assert grid(xml.score(WHOLE, first=first)).time_signatures == ((0, 4, 4),)


def test_ornaments_are_as_written():
    trill = "<notations><ornaments><trill-mark/></ornaments></notations>"
    assert rows(xml.score(xml.note("C4", 8, trill))) == [(60, 0, 4)]


def tie(*kinds):
    return "".join(f'<tie type="{kind}"/>' for kind in kinds)


def test_ties_go_across_bars_chords_voices_and_repeats():
    chord = xml.note("E4", 8, tie("start"), "<chord/>")
    first = xml.note("C4", 8, tie("start")) + chord
    middle = xml.note("C4", 8, tie("stop", "start")) + xml.note(
        "E4", 8, tie("stop"), "<chord/>"
    )
    last = xml.note("C4", 2, tie("stop")) + xml.note("C4", 6)
    found = rows(xml.score(first, middle, last))
    assert found == [(64, 0, 8), (60, 0, 9), (60, 9, 12)]
    back = "<backup><duration>8</duration></backup>"
    one = xml.note("C4", 8, tie("start") + "<voice>1</voice>")
    two = back + xml.note("G4", 8, "<voice>2</voice>")
    three = xml.note("G4", 8, tie("stop")) + back + xml.note("C4", 8, tie("stop"))
    # A tie may change the voice, and needs a start.
    assert rows(xml.score(one + two, three)) == [(67, 0, 4), (60, 0, 8), (67, 4, 8)]
    ends = xml.note("C4", 8, tie("stop")) + xml.BACKWARD
    again = xml.FORWARD + xml.note("C4", 8, tie("start"))
    assert rows(xml.score(again, ends)) == [(60, 0, 8), (60, 8, 16)]


@pytest.mark.parametrize("sign", ["direction", "barline"])
def test_signs_of_segno_and_coda_need_no_sound(sign):
    def mark(name):
        if sign == "barline":
            return xml.barline(f"<{name}/>", location="left")
        return xml.direction(f"<{name}/>")

    bodies = [A, mark("segno") + B + TO_CODA, C + DAL_SEGNO, mark("coda") + D]
    names = {60: "C", 62: "D", 64: "E", 65: "F"}
    assert "".join(names[p] for p in pitches(xml.score(*bodies))) == "CDEDF"


def test_sounds_may_begin_repeats():
    forward = xml.sound(**{"forward-repeat": "yes"})
    text = xml.score(A, forward + B + xml.BACKWARD, C)
    assert pitches(text) == [60, 62, 62, 64]


def test_a_voice_that_runs_over_a_little_does_not_move_the_next_bar():
    back = "<backup><duration>8</duration></backup>"
    over = xml.note("C4", 8) + back + xml.note("E4", 9, "<voice>2</voice>")
    assert rows(xml.score(over, WHOLE))[-1] == (60, 4, 8)
    cadenza = xml.note("C4", 8) + back + xml.note("E4", 16, "<voice>2</voice>")
    assert rows(xml.score(cadenza, WHOLE))[-1] == (60, 8, 12)


PIECES = st.lists(
    st.lists(
        st.tuples(
            st.integers(36, 96),
            st.sampled_from([0.25, 0.5, 0.75, 1, 1.5, 2, 3]),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=15, deadline=None)
@given(PIECES)
def test_what_music21_writes_is_read_at_the_writers_own_onsets(pieces):
    music21 = pytest.importorskip("music21")
    from music21.musicxml import m21ToXml

    score, expected = music21.stream.Score(), set()
    for events in pieces:
        part = music21.stream.Part()
        for pitch, length, is_rest in events:
            if not is_rest:
                expected.add((float(part.highestTime), pitch))
            kind = music21.note.Rest if is_rest else music21.note.Note
            event = kind() if is_rest else kind(pitch)
            event.quarterLength = length
            part.append(event)
        score.insert(0, part)
    if expected:
        data = m21ToXml.GeneralObjectExporter(score).parse()
        assert {(start, pitch) for pitch, start, _ in rows(data)} == expected
