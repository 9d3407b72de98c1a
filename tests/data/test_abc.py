"""ABC against values worked by hand."""

import tracemalloc

import pytest

from poph_tf.data import abc, abc_fields, matrices, notes
from poph_tf.data.key_signatures import (
    DORIAN,
    LOCRIAN,
    LYDIAN,
    MAJOR,
    MINOR,
    MIXOLYDIAN,
    PHRYGIAN,
    UNSAID,
)
from poph_tf.errors import MusicFileError


def tune(music, header="M:4/4\nL:1/4\nK:C\n"):
    return f"X:1\n{header}{music}\n"


def sequence_of(text, repeats="played"):
    data = text if isinstance(text, bytes) else text.encode()
    (found,) = abc.Tunes(data, "a.abc", repeats).values()
    if isinstance(found, MusicFileError):
        raise found
    return found


def rows(text, repeats="played"):
    """(pitch, start, end) in quarter notes."""
    found = notes.from_sequence(sequence_of(text, repeats))
    ticks = found.ticks_per_quarter
    columns = (found.pitch, found.start_tick / ticks, found.end_tick / ticks)
    return sorted(zip(*(c.tolist() for c in columns), strict=True), key=lambda r: r[1:])


def pitches(music, **options):
    return [row[0] for row in rows(tune(music, **options))]


def lengths(music, **options):
    return [row[2] - row[1] for row in rows(tune(music, **options))]


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        *(("CcC,c'", [60, 72, 48, 84]), ("^C_D=F^^F__B", [61, 61, 65, 67, 69])),
        # An accidental holds to the end of its bar, in all octaves.
        *(("^Cc C|C", [61, 73, 61, 60]), ("^C=CC", [61, 60, 60])),
        # Microtones are rounded.
        *(("^/C", [60]), ("^3/2C", [62]), ("_1/2D", [62])),
        # Text, decorations and symbols are not notes.
        (
            '"Am"C"^abc"D !fermata!E +trill+F ~G .A vB (c d)',
            [60, 62, 64, 65, 67, 69, 71, 72, 74],
        ),
        ("C D % and E\nw: text and words\nE", [60, 62, 64]),
        # Inline fields.
        ("F[K:G]F[K:C]F", [65, 66, 65]),
        ("F[r:EFG]G", [65, 67]),
        # Accidentals added to the current key.
        ("FC[K:^c]FC[K:exp _b]B", [65, 60, 65, 61, 70]),
        # Grace notes are played in order.
        ("{AB}c", [69, 71, 72]),
        ("{/A}c", [69, 72]),
        # Keys, clefs and voices within the tune; nothing but text before a key.
        ("F[K:clef=bass-8]F[K:?]F", [65, 53, 53]),
        ("C[V:*]D[V:]E", [60, 62, 64]),
        ('[]C(0D)E["Am"]', [60, 62, 64]),
        # Text between directives is not music.
        ("C\n%%begintext\nD E\n%%endtext\nF", [60, 65]),
        ("C\n%%\nD", [60, 62]),
        # A line that looks like a field.
        ("C|\nE:|", [60, 64, 60, 64]),
        ("C\\\nD", [60, 62]),
        # Notes beyond MIDI's pitches are left out.
        ("C,,,,,,,D", [62]),
    ],
)
def test_pitches(music, expected):
    assert pitches(music) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *(("C", 65), ("G", 66), ("Em", 66), ("D dor", 65), ("A Mixolydian", 66)),
        *(("F# locrian", 66), ("HP", 66), ("none", 65), ("D =f", 65), ("C ^f", 66)),
        *(("D exp _b", 65), ("Am", 65), ("Bb", 65), ("C clef=bass", 65)),
        *(
            ("C clef=treble-8", 53),
            ("E phr -8va", 53),
            ("C octave=1", 77),
            ("C transpose=-2", 63),
        ),
    ],
)
def test_keys_and_clefs(key, expected):
    assert pitches("F", header=f"L:1/4\nK:{key}\n") == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("D", (2, MAJOR)), ("Dmix", (1, MIXOLYDIAN)), ("D dor", (0, DORIAN))),
        *(("Dm", (-1, MINOR)), ("D aeolian", (-1, MINOR)), ("D phr", (-2, PHRYGIAN))),
        *(("D loc", (-3, LOCRIAN)), ("D lyd", (3, LYDIAN)), ("F#", (6, MAJOR))),
        *(("Bb", (-2, MAJOR)), ("F", (-1, MAJOR)), ("E clef=bass", (4, MAJOR))),
        *(("G#", (7, MAJOR)), ("Fb", (-7, MAJOR)), ("", None), ("x", None)),
        *(("HP", (2, UNSAID)), ("none", (0, UNSAID))),
    ],
)
def test_keys_have_the_sharps_of_their_tonic_and_mode(text, expected):
    assert abc_fields.key(text) == expected


def test_accidentals_may_hold_for_their_octave_or_their_note_only():
    header = "L:1/4\n%%propagate-accidentals {}\nK:C\n"
    assert pitches("^CcC", header=header.format("octave")) == [61, 72, 61]
    assert pitches("^CcC", header=header.format("not")) == [61, 72, 60]


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        *(("C2 C/ C// C3/2 C/4", [2, 0.5, 0.25, 1.5, 0.25]),),
        ("C>D E>>F G<A B<<c", [1.5, 0.5, 1.75, 0.25, 0.5, 1.5, 0.25, 1.75]),
        ("C>|D", [1.5, 0.5]),
        ("C2>D2", [3, 1]),
        ("z>C", [0.5]),
        ("[CE]>D", [1.5, 1.5, 0.5]),
        ("(3CDE F", [2 / 3, 2 / 3, 2 / 3, 1]),
        ("(2CD (4CDEF", [1.5, 1.5, 0.75, 0.75, 0.75, 0.75]),
        ("(3:2:2C2D C", [4 / 3, 2 / 3, 1]),
        ("(5CDEFG", [0.4] * 5),
        ("(3C>DE", [1, 1 / 3, 2 / 3]),
        # The unit length changes; invalid values are ignored.
        ("C[L:1/8]C[L:x]C[L:1/0]C[L:2]C", [1, 0.5, 0.5, 0.5, 8]),
        # A broken-rhythm sign before the first note.
        (">D2C", [1, 1]),
        ("(6CDEFGA (8CDEFGABc", [1 / 3] * 6 + [3 / 8] * 8),
        ("[C2E2] [CE]2 [CE]/", [2, 2, 2, 2, 0.5, 0.5]),
    ],
)
def test_lengths(music, expected):
    assert lengths(music) == pytest.approx(expected, abs=1e-3)


def test_five_notes_take_the_time_of_three_in_compound_metres():
    assert lengths("(5CDEFG", header="M:6/8\nL:1/4\nK:C\n") == pytest.approx([0.6] * 5)


def test_a_tuplet_counts_in_the_metre_of_its_own_bar():
    # The first voice has left 6/8 when the second is read.
    music = "V:1\nC,6|[M:4/4]C,8|\nV:2\n(5CDEFG A3|C8|"
    second = [row for row in rows(f"X:1\nM:6/8\nL:1/8\nK:C\n{music}\n") if row[0] >= 60]
    assert [end - start for _, start, end in second] == pytest.approx(
        [0.3] * 5 + [1.5, 4], abs=1e-3
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *(("M:4/4\nK:C\n", 0.5), ("M:2/4\nK:C\n", 0.25), ("M:C|\nK:C\n", 0.5)),
        *(("K:C\n", 0.5), ("L:1/4\nM:2/4\nK:C\n", 1), ("M:none\nK:C\n", 0.5)),
    ],
)
def test_the_usual_length_follows_the_metre(header, expected):
    assert lengths("C", header=header) == [expected]


@pytest.mark.parametrize(
    ("tempo", "qpm"),
    [
        *(("1/4=90", 90), ("3/8=40", 60), ('"Allegro" 1/2=60', 120), ("C=80", 40)),
        *(("80", 40), ("1/4 1/8=40", 60), ('1/4=90 "fast"', 90), ('"slow"', 120)),
    ],
)
def test_tempi(tempo, qpm):
    text = tune("C", header=f"Q:{tempo}\nL:1/8\nK:C\n")
    assert [t.qpm for t in sequence_of(text).tempos] == [qpm]


def test_a_tempo_within_the_tune_moves_what_follows():
    sequence = sequence_of(tune("CC[Q:1/4=60]CC"))
    assert [n.start_time for n in sequence.notes] == [0, 0.5, 1, 2]


@pytest.mark.parametrize(
    ("music", "played", "once"),
    [
        *(("CDEF:|GABc|", "CDEFCDEFGABc", "CDEFGABc"),),
        ("|:C4:|:D4:|E4|", "CCDDE", "CDE"),
        ("|:C4::D4:|", "CCDD", "CD"),
        ("|:C4|1D4:|2E4||F4|", "CDCEF", "CEF"),
        ("|:C4|[1 D4:|[2 E4|]F4|", "CDCEF", "CEF"),
        ("|:C4|1,2D4:|3E4|]", "CDCDCE", "CE"),
        ("|:C4|1-3D4:|4E4|]", "CDCDCDCE", "CE"),
        ("|::C4::|D4|", "CCCD", "CD"),
        # Endings of two bars, and two repeats with endings.
        ("|:C4|1D4|E4:|2F4|G4||A4|", "CDECFGA", "CFGA"),
        ("|:C4|1D4:|2E4|:F4|1G4:|2A4|]", "CDCEFGFA", "CEFA"),
        ("|:C4|1,2D4:|3E4|:F4|1G4:|2A4|]", "CDCDCEFGFA", "CEFA"),
        ("C4|D4!fine!|E4!D.C.!|", "CDECD", "CDE"),
        ("C4|!segno!D4!fine!|E4!D.S.alfine!|", "CDED", "CDE"),
        ("[|C4|]", "C", "C"),
    ],
)
def test_repeats_and_endings(music, played, once):
    names = dict(zip("CDEFGABc", (60, 62, 64, 65, 67, 69, 71, 72), strict=True))
    for repeats, text in (("played", played), ("once", once)):
        found = [row[0] for row in rows(tune(music), repeats)]
        assert found == [names[letter] for letter in text]


def test_parts_are_played_in_the_order_of_the_header():
    header = "P:A(AB)2\nM:4/4\nL:1/1\nK:C\n"
    assert pitches("P:A\nC|D|\nP:B\nE|\n", header=header) == [
        *(60, 62, 60, 62, 64, 60, 62, 64)
    ]
    assert abc_fields.order_of_parts("A3(BC)2.D") == "AAABCBCD"


def test_chords_stand_behind_bar_lines():
    assert rows(tune("[CE]4|[DF]4|[2[EG]4|]")) == [
        *((60, 0, 4), (64, 0, 4), (62, 4, 8), (65, 4, 8), (64, 8, 12), (67, 8, 12))
    ]


def test_ties_join_notes_of_one_pitch():
    text = (
        'X:1\nM:4/4\nL:1/8\nK:G\n^C4-|C4 z2 F2-F2|"C-a"G2 - {ab}G2-|z4-\n'
        "d4-|d4-d4 c'-^c'|A-B [GB]2-[GB]2|[G-B]2[GB]2|\n"
    )
    expected = [
        *((61, 0, 4), (66, 5, 7), (67, 7, 9), (74, 11, 17)),
        # A tie to a rest, to another pitch, or from one note of a chord only.
        *((84, 17, 17.5), (85, 17.5, 18), (69, 18, 18.5), (71, 18.5, 19)),
        *((67, 19, 21), (71, 19, 21), (71, 21, 22), (67, 21, 23), (71, 22, 23)),
    ]
    found = [row for row in rows(text) if row[2] - row[1] > 0.1]
    assert found == [(p, pytest.approx(a, abs=0.1), b) for p, a, b in expected]


def test_a_tie_leads_into_both_endings():
    assert rows(tune("|:C4-|1C4:|2C4|]")) == [(60, 0, 8), (60, 8, 16)]


def test_voices_go_side_by_side():
    header = 'M:4/4\nL:1/4\nV:1 name="High"\nV:2 name="Low" clef=bass-8\nK:G\n'
    music = "V:1\nFGAB|\nV:2\nF4|\nV:1\nc4|[V:2]G4|"
    sequence = sequence_of(tune(music, header=header))
    assert [info.name for info in sequence.part_infos] == ["High", "Low"]
    found = [(n.pitch, n.start_time * 2, n.part) for n in sequence.notes]
    assert found == [
        *((66, 0, 0), (67, 1, 0), (69, 2, 0), (71, 3, 0), (72, 4, 0)),
        *((54, 0, 1), (55, 4, 1)),
    ]


def test_a_bar_is_as_long_as_its_longest_voice():
    # A broken rhythm in the second voice does not change the first voice's bar.
    found = rows(tune("V:1\nC4|D4|\nV:2\nE>F|G4|", header="L:1/4\nK:C\n"))
    assert found == [*((64, 0, 1.5), (60, 0, 4), (65, 1.5, 2), (62, 4, 8), (67, 4, 8))]
    assert rows(tune("C<|D4|", header="L:1/4\nK:C\n"))[1][1] == 0.5


def test_an_overlay_begins_with_its_bar():
    found = rows(tune("C4|CDEF&G4|C4|"))
    assert (67, 4, 8) in found and found[-1] == (60, 8, 12)


def test_rests_of_bars_last_as_the_metre_says():
    assert rows(tune("C3|Z2|C3|", header="M:3/4\nL:1/4\nK:C\n"))[1] == (60, 9, 12)


def test_an_upbeat_ends_its_bar():
    piece = matrices.from_sequence(sequence_of(tune("G|CDEF|C3|")))
    assert piece.bar_position.tolist()[:8] == [12, 13, 14, 15, 0, 1, 2, 3]


def test_upbeats_of_repeats_complete_the_bars_before():
    piece = matrices.from_sequence(sequence_of(tune("|:G|CDEF|C3:|:E|GFED|C3:|")))
    lines = [
        k for k, position in enumerate(piece.bar_position.tolist()) if not position
    ]
    assert lines == list(range(4, 4 * 32, 16))
    assert piece.time_signatures[-1] == (4, 4, 4)


def test_programs_and_drums_of_midi_directives():
    header = "%%MIDI program 40\nM:4/4\nL:1/4\nK:C\n"
    assert sequence_of(tune("C", header=header)).notes[0].program == 40
    drum = sequence_of(tune("%%MIDI channel 10\nC")).notes[0]
    assert drum.is_drum
    for directive, pitch in (
        *(("transpose 12", 72), ("transpose -1", 59), ("transpose up", 60)),
        *(("drum 5", 60), ("channel 9", 60)),
    ):
        (note,) = sequence_of(tune(f"%%MIDI {directive}\nC")).notes
        assert (note.pitch, note.is_drum) == (pitch, False)
    inline = sequence_of(tune("[I:MIDI program 999]C"))
    assert inline.notes[0].program == 127


def test_what_stands_before_the_key_is_no_music():
    text = "X:1\nT:A\nT:B\nP:\nL:1/4\nM:\nGAB\nM:3/4\nK:C\nP:\nCDE|[M:2/4]FG|[M:?]AB|\n"
    sequence = sequence_of(text)
    assert sequence.sequence_metadata.title == "A"
    assert [note.pitch for note in sequence.notes] == [60, 62, 64, 65, 67, 69, 71]
    found = [(t.numerator, t.denominator) for t in sequence.time_signatures]
    assert found == [(3, 4), (2, 4)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(encoding):
    text = tune("C", header="T:Flöte\nL:1/4\nK:C\n")
    sequence = sequence_of(text.encode(encoding))
    assert sequence.sequence_metadata.title == "Flöte"


def test_a_book_of_ten_thousand_tunes_takes_little_memory():
    music = "CDEF GABc|" * 8
    text = "\n".join(tune(music).replace("X:1", f"X:{k}") for k in range(10_000))
    book = abc.Tunes(text.encode(), "a.abc")
    assert len(book) == 10_000
    labels = list(book)
    book[labels[0]]
    tracemalloc.start()
    for label in labels[::200]:
        assert len(book[label].notes) == 64
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_what_is_no_tune_has_its_reason():
    for text in ("", "% nothing\n"):
        with pytest.raises(MusicFileError, match="no tune"):
            sequence_of(text)
    with pytest.raises(MusicFileError, match="has no notes"):
        rows(tune("z4|"))
    # A second ending where nothing is repeated.
    with pytest.raises(MusicFileError, match="endings leave no bar to play"):
        rows(tune("|2 C4|0 D4:|"))
    with pytest.raises(MusicFileError, match="endings leave no note to play"):
        rows(tune("z4|2 C4|0 D4:|"))
    with pytest.raises(MusicFileError, match="longer than 100,000 quarter notes"):
        sequence_of(tune("C999999999"))
    with pytest.raises(MusicFileError, match="UTF-8, UTF-16 or Latin-1"):
        rows(b"\0\xff")
