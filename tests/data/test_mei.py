"""MEI against values worked by hand."""

import itertools

import pytest

from poph_tf.data import key_signatures, mei, mei_values, notes, score_sequence
from poph_tf.errors import MusicFileError

HEAD = '<mei xmlns="http://www.music-encoding.org/ns/mei"><music><body><mdiv><score>'
TAIL = "</score></mdiv></body></music></mei>"
STAVES = '<staffGrp><staffDef n="1" lines="5" label="Flute"{}/></staffGrp>'


def score(*measures, more="", staff=""):
    definition = f'<scoreDef meter.count="4" meter.unit="4"{more}>'
    bodies = [m if m.startswith("<ending") else measure(m) for m in measures]
    section = f"<section>{''.join(bodies)}</section>"
    return f"{HEAD}{definition}{STAVES.format(staff)}</scoreDef>{section}{TAIL}"


def measure(content, more="", signs=""):
    if content.startswith("<measure"):
        return content
    layer = f'<staff n="1"><layer n="1">{content}</layer></staff>'
    return f"<measure{more}>{layer}{signs}</measure>"


def note(name, dur=4, more=""):
    return f'<note pname="{name[0]}" oct="{name[1:]}" dur="{dur}"{more}/>'


WHOLE = note("c4", 1)


def rows(text, repeats="played"):
    """(pitch, start, end) in quarter notes."""
    scored = mei.parse(text.encode(), "a.mei")
    found = notes.from_sequence(
        score_sequence.to_sequence(scored, "a.mei", repeats=repeats)
    )
    ticks = found.ticks_per_quarter
    columns = (found.pitch, found.start_tick / ticks, found.end_tick / ticks)
    return sorted(zip(*(c.tolist() for c in columns), strict=True), key=lambda r: r[1:])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        *((' accid="s"', 61), (' accid="f"', 59), (' accid.ges="s"', 61)),
        *((' accid="x"', 62), (' accid="ss"', 62), (' oct.ges="5"', 72)),
    ],
)
def test_pitches_are_as_they_sound(more, expected):
    assert [row[0] for row in rows(score(note("c4", 1, more)))] == [expected]


def test_the_music_of_early_versions_needs_no_body_and_may_have_capital_letters():
    text = score(note("E4", 1)).replace("<body><mdiv>", "")
    assert rows(text.replace("</mdiv></body>", "")) == [(64, 0, 4)]


def test_the_key_holds_where_no_accidental_that_sounds_is_given():
    # F sharp by the key, natural by its sign, still natural later in the bar.
    music = note("f4") + note("f4", 4, ' accid="n"') + note("f4", 2)
    assert [r[0] for r in rows(score(music, more=' keysig="1s"'))] == [66, 65, 65]
    given = note("f4", 2, ' accid.ges="s"') + note("f4", 2)
    assert [r[0] for r in rows(score(given, more=' key.sig="1s"'))] == [66, 65]


def test_transposing_staves_sound_as_they_do():
    assert [r[0] for r in rows(score(WHOLE, staff=' trans.semi="-2"'))] == [58]


def test_lengths_of_dots_tuplets_chords_and_rests():
    tuplet = f'<tuplet num="3" numbase="2">{note("d4", 8) * 3}</tuplet>'
    chord = f'<chord dur="4">{note("e4", 4)}{note("g4", 4)}</chord>'
    music = note("c4", 4, ' dots="1"') + '<rest dur="8"/>' + tuplet + chord
    thirds = [pytest.approx(2 + k / 3, abs=1e-3) for k in range(4)]
    expected = [(60, 0, 1.5), *((62, a, b) for a, b in itertools.pairwise(thirds))]
    assert rows(score(music)) == [*expected, (64, 3, 4), (67, 3, 4)]


@pytest.mark.parametrize(
    "music",
    [
        *('<note pname="c" oct="4" dur="x"/>', '<note pname="c" oct="4" dur="0"/>'),
        *(f'<tuplet num="0">{WHOLE}</tuplet>', f'<tuplet num="101">{WHOLE}</tuplet>'),
        f'<tuplet numbase="0">{WHOLE}</tuplet>',
        f'<tuplet numbase="101">{WHOLE}</tuplet>',
    ],
)
def test_lengths_that_are_none_are_refused(music):
    with pytest.raises(MusicFileError, match="not MEI that can be read"):
        rows(score(music))


def test_keys_are_attributes_or_signs():
    assert key_signatures.accidentals(2) == {"F": 1, "C": 1}
    assert key_signatures.accidentals(-3) == {"B": -1, "E": -1, "A": -1}
    assert key_signatures.accidentals(0) == {}
    music = "".join(map(note, ("f4", "b4", "c5")))
    sign = '<keySig sig="2s"/>'
    text = score(music).replace("</scoreDef>", f"{sign}</scoreDef>")
    assert [r[0] for r in rows(text)] == [66, 71, 73]
    minor = ' key.sig="1f" key.mode="minor"'
    parsed = mei.parse(score(music, more=minor).encode(), "a")
    assert parsed.measures[0].key == (-1, True)
    assert [n.pitch for n in parsed.parts[0].notes[0]] == [65, 70, 72]
    # The staff's own key counts; a signature within a bar changes nothing here.
    own = score(sign + music, staff=' keysig="3f"', more=' keysig="1s"')
    assert [r[0] for r in rows(own)] == [65, 70, 72]


@pytest.mark.parametrize(
    ("name", "dots", "expected"),
    [
        *(("long", None, 16), ("breve", "1", 12), ("maxima", "0", 32)),
        *(("1", None, 4), ("8", "2", 0.875), ("4", "5", 1)),
    ],
)
def test_lengths_by_name(name, dots, expected):
    assert mei_values.written(name, dots) == expected


def test_ties_are_attributes_or_elements():
    first, last = note("c4", 1, ' tie="i"'), note("c4", 1, ' tie="t"')
    assert rows(score(first, last)) == [(60, 0, 8)]
    middle = note("c4", 1, ' tie="m"')
    assert rows(score(first, middle, last, WHOLE)) == [(60, 0, 12), (60, 12, 16)]
    named = [measure(note("c4", 1, f' xml:id="{k}"')) for k in "ab"]
    named[0] = named[0].replace("</m", '<tie startid="#a" endid="#b"/></m')
    assert rows(score(*named)) == [(60, 0, 8)]


def test_repeats_and_endings_are_played():
    d, e = note("d4", 1), note("e4", 1)
    first = (
        f'<ending n="1">{measure(d, " right=" + chr(34) + "rptend" + chr(34))}</ending>'
    )
    second = f'<ending n="2">{measure(e)}</ending>'
    text = score(WHOLE, first, second)
    assert [r[0] for r in rows(text)] == [60, 62, 60, 64]
    assert [r[0] for r in rows(text, "once")] == [60, 64]


def test_tempo_marks_stand_at_their_beat():
    signs = '<tempo tstamp="3" mm="30" mm.unit="2"/>'
    text = score(measure(WHOLE, signs=signs), more=' midi.bpm="90"')
    sequence = score_sequence.to_sequence(mei.parse(text.encode(), "a"))
    assert [(round(t.time, 6), t.qpm) for t in sequence.tempos] == [
        (0, 90),
        (round(2 * 60 / 90, 6), 60),
    ]


def test_tremolos_grace_notes_and_cues():
    tremolo = f'<bTrem unitdur="8">{note("c4", 2)}</bTrem>'
    pair = f'<fTrem unitdur="8">{note("d4", 2)}{note("e4", 2)}</fTrem>'
    found = rows(score(tremolo + pair))
    assert found == [
        *((60, k / 2, (k + 1) / 2) for k in range(4)),
        *((62 + 2 * (k % 2), 2 + k / 2, 2.5 + k / 2) for k in range(4)),
    ]
    grace = note("d4", 8, ' grace="acc"')
    (c, g, e) = rows(score(note("c4", 2) + grace + note("e4", 2)))
    assert (c[0], g[0], e) == (60, 62, (64, 2, 4)) and g[2] == 2
    assert rows(score(note("c4", 2, ' cue="true"') + note("e4", 2))) == [(64, 2, 4)]


def test_tremolos_by_stems_and_beams():
    stem = note("c4", 4, ' stem.mod="2slash"')
    assert len(rows(score(f"<bTrem>{stem}</bTrem>"))) == 4
    assert len(rows(score(f'<bTrem beams="1">{note("c4", 4)}</bTrem>'))) == 2
    assert len(rows(score(f"<bTrem>{note('c4', 4)}</bTrem>"))) == 8
    # The same as a single note.
    assert rows(score(f'<bTrem unitdur="4">{note("c4", 4)}</bTrem>')) == [(60, 0, 1)]


def test_rests_and_repetitions_of_a_bar_last_as_the_metre_says():
    three = ("<mRest/>", note("c4", 2, ' dots="1"'), "<mRpt/>", note("d4", 4))
    text = score(*three).replace('meter.count="4"', 'meter.count="3"')
    assert rows(text) == [(60, 3, 6), (60, 6, 9), (62, 9, 10)]
    space = score("<space/>" + note("c4", 2) + '<space dur="2"/>', WHOLE)
    assert rows(space) == [(60, 0, 2), (60, 4, 8)]


@pytest.mark.parametrize(
    ("sign", "metre"),
    [
        ('meter.sym="cut"', (2, 2)),
        ('meter.sym="common"', (4, 4)),
        ('meter.count="3+2" meter.unit="8"', (5, 8)),
        ('meter.count="0" meter.unit="8"', None),
        ('><meterSig count="6" unit="8"/', (6, 8)),
        ('><meterSig sym="cut"/', (2, 2)),
    ],
)
def test_metres(sign, metre):
    text = score(WHOLE).replace('meter.count="4" meter.unit="4"', sign)
    assert mei.parse(text.encode(), "a").measures[0].metre == metre


@pytest.mark.parametrize(
    ("signs", "played"),
    [
        (('<repeatMark func="fine"/>', '<repeatMark func="daCapo"/>'), [60, 62, 60]),
        (("<dir>Fine</dir>", "<dir> D.C. al\nFine</dir>"), [60, 62, 60]),
        (("", '<repeatMark func="segno"/><repeatMark func="dalSegno"/>'), [60, 62, 62]),
        (('<repeatMark func="?"/>', "<dir>dolce</dir>"), [60, 62]),
    ],
)
def test_jumps_are_played(signs, played):
    bodies = (WHOLE, note("d4", 1))
    pairs = zip(bodies, signs, strict=True)
    text = score(*(measure(body, signs=sign) for body, sign in pairs))
    assert [r[0] for r in rows(text)] == played


def test_repeats_of_both_sides():
    d, e = note("d4", 1), note("e4", 1)
    both = measure(WHOLE, ' right="rptboth"'), measure(d, ' right="rptend"'), e
    assert [r[0] for r in rows(score(*both))] == [60, 60, 62, 62, 64]
    left = WHOLE, measure(d, ' left="rptstart" right="rptend"'), e
    assert [r[0] for r in rows(score(*left))] == [60, 62, 62, 64]


def test_percussion_sounds_without_pitches():
    drum = '<note loc="4" dur="1"/>'
    (tone,) = score_sequence.to_sequence(
        mei.parse(score(drum, staff=' clef.shape="perc"').encode(), "a")
    ).notes
    assert tone.is_drum and tone.pitch == 38
    with pytest.raises(MusicFileError, match="has no notes"):
        rows(score('<note dur="1"/>'))


def test_microtones_are_rounded_and_counted():
    text = score(note("d4", 1, ' accid="su"') + "<accid/>" + note("g9", 4))
    parsed = mei.parse(text.encode(), "a")
    assert parsed.repairs == {"microtones rounded": 1}
    assert [r[0] for r in rows(text)] == [64, 127]


def test_the_first_reading_is_played():
    readings = f"<app><rdg>{WHOLE}</rdg><rdg>{note('d4', 1)}</rdg></app>"
    lemma = f"<app><rdg>{WHOLE}</rdg><lem>{note('d4', 1)}</lem></app>"
    assert [r[0] for r in rows(score(readings, lemma, "<choice/>"))] == [60, 62]


def test_groups_name_the_staves_that_have_no_name():
    staves = (
        '<staffGrp><label>Piano <rend>solo</rend></label><instrDef midi.instrnum="5"/>'
        '<staffDef n="1" label="Right"/><staffDef n="2"/></staffGrp>'
    )
    text = score(WHOLE).replace(STAVES.format(""), staves)
    parts = mei.parse(text.encode(), "a").parts
    assert [(p.name, p.program) for p in parts] == [("Right", 5), ("Piano solo", 5)]
    drums = staves.replace("<instrDef", '<instrDef midi.channel="10"')
    text = score(WHOLE).replace(STAVES.format(""), drums)
    assert all(part.is_drum for part in mei.parse(text.encode(), "a").parts)


def test_a_tempo_may_count_dotted_notes():
    signs = '<tempo mm="30" mm.unit="4" mm.dots="1"/><tempo tstamp="3">slow</tempo>'
    parsed = mei.parse(score(measure(WHOLE, signs=signs)).encode(), "a")
    assert parsed.measures[0].tempi == [(0, 45.0)]


def test_names_and_programs_are_kept():
    instrument = '<instrDef midi.instrnum="73"/>'
    text = score(WHOLE).replace(
        'label="Flute"/>', f'label="Flute">{instrument}</staffDef>'
    )
    sequence = score_sequence.to_sequence(mei.parse(text.encode(), "a"))
    assert sequence.part_infos[0].name == "Flute"
    assert sequence.notes[0].program == 73


def test_what_is_nested_too_deep_is_refused():
    inner = 52 * "<app><rdg>" + "{}" + 52 * "</rdg></app>"
    for text in (score(inner.format(WHOLE)), score(52 * "<beam>" + 52 * "</beam>")):
        with pytest.raises(MusicFileError, match="not MEI that can be read"):
            rows(text)
    sections = score(WHOLE).replace("<section>", inner.partition("{")[0])
    with pytest.raises(MusicFileError, match="not MEI that can be read"):
        rows(sections.replace("</section>", inner.partition("}")[2]))


@pytest.mark.parametrize("text", ["", "<a/>", score(WHOLE)[:-9], score("<note/>")])
def test_what_is_no_mei_is_refused(text):
    with pytest.raises(MusicFileError, match=r"not MEI|has no notes"):
        rows(text)
