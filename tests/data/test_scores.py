"""Reading scores: ABC books and MusicXML, and their ties."""

import numpy as np
import pytest

from poph_tf.data import abc, matrices, midi, musicxml
from poph_tf.errors import MusicFileError

TUNES = "X:1\nT:One\nM:4/4\nL:1/4\nK:C\nCDEF|\n\nX:2\nT:Two\nM:3/4\nL:1/4\nK:G\nGAB|\n"


def test_an_abc_file_with_several_tunes_is_read_by_read_all_only(tmp_path):
    path = tmp_path / "tunes.abc"
    path.write_text(TUNES)
    with pytest.raises(MusicFileError, match="holds 2"):
        midi.read(path)
    first, second = (matrices.from_sequence(s) for s in midi.read_all(path))
    assert np.flatnonzero(first.play.sum(1)).tolist() == list(range(16))
    assert second.time_signatures == ((0, 3, 4),)
    path.write_text(TUNES.split("\n\n")[0])
    assert len(midi.read(path).notes) == 4
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MusicFileError, match="UTF-8"):
        midi.read(path)


XML = """<?xml version="1.0"?><score-partwise version="3.0"><part-list>
<score-part id="P1"><part-name>A</part-name></score-part></part-list><part id="P1">
<measure number="1"><attributes><divisions>3</divisions><time><beats>2</beats>
<beat-type>4</beat-type></time></attributes>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>2</duration></note>
<note><pitch><step>E</step><octave>4</octave></pitch><duration>1</duration></note>
<note><pitch><step>G</step><octave>4</octave></pitch><duration>3</duration></note>
</measure></part></score-partwise>"""


def test_triplets_of_musicxml_round_exactly(tmp_path):
    path = tmp_path / "a.musicxml"
    path.write_text(XML)
    piece = matrices.from_sequence(midi.read(path))
    # E begins at 2/3 of a quarter: step 2.67 -> 3.
    assert np.flatnonzero(piece.play[:, 60]).tolist() == [0, 1, 2]
    assert np.flatnonzero(piece.play[:, 64]).tolist() == [3]
    assert piece.time_signatures == ((0, 2, 4),)
    for text in ("<score", "hello", ""):
        path.write_text(text)
        with pytest.raises(MusicFileError, match="not MusicXML"):
            midi.read(path)


def test_read_refuses_a_file_with_an_unreadable_tune(tmp_path):
    good = "X:1\nT:one\nM:4/4\nL:1/4\nK:C\nCDEF|\n"
    bad = "X:2\nT:two\nM:4/4\nL:1/4\nK:C\n(3CDE F|\n"
    path = tmp_path / "two.abc"
    path.write_text(f"{good}\n{bad}")
    with pytest.raises(MusicFileError, match="tune that cannot be read"):
        midi.read(path)
    failures = []
    assert len(list(midi.read_all(path, failures))) == 1
    assert len(failures) == 1


TUNE = "X:{}\nM:4/4\nL:1/8\nK:C\nCDEF GABc|\n"
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def read_book(text):
    """Pitches, or the reason why it cannot be read, of each tune of a book."""
    return {
        label: tune.reason
        if isinstance(tune, MusicFileError)
        else [note.pitch for note in tune.notes]
        for label, tune in abc.read_tunes(text.encode(), "book.abc").items()
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Text before, between and after the tunes is no music; its fields hold for all.
        ("A bad face, a cafe\n\n" + TUNE.format(1), {"1": SCALE}),
        ("%abc-2.1\nCollected by A\nO:here\n\n" + TUNE.format(1), {"1": SCALE}),
        (TUNE.format(1) + "\nEnd of file.\n", {"1": SCALE}),
        (TUNE.format(1) + "\nGag\n\n" + TUNE.format(2), {"1": SCALE, "2": SCALE}),
        # No blank line between two tunes.
        (TUNE.format(1) + TUNE.format(2), {"1": SCALE, "2": SCALE}),
        ("L:1/4\n\nX:4\nK:G\nFG\n", {"4": [66, 67]}),
        (
            TUNE.format(1) + "\nM:4/4\nK:C\nC\n",
            {"1": SCALE, "@2": "not ABC that can be read (no number, X:)"},
        ),
    ],
)
def test_text_around_the_tunes_of_a_book_is_ignored(text, expected):
    assert read_book(text) == expected


def test_tied_notes_of_abc_are_one_note():
    tune = (
        'X:1\nM:4/4\nL:1/8\nK:G\n^C4-|C4 z2 F2-F2|"C-a"G2 - {ab}G2-|z4-\n'
        "d4-|d4-d4 [K:D] c'-^c'|A-B G2->G2|\n"
    )
    (found,) = abc.read_tunes(tune.encode(), "x.abc").values()
    # Eighths last a quarter of a second; the sharp of the first bar holds in the tie.
    notes = [
        (note.pitch, note.start_time * 4, note.end_time * 4) for note in found.notes
    ]
    assert notes == [
        (61, 0, 8),
        (66, 10, 14),
        (67, 14, 18),  # the tie to a rest is none
        (74, 22, 34),
        (85, 34, 35),  # nor is one to another pitch, or to an accidental of its own
        (85, 35, 36),
        (69, 36, 37),
        (71, 37, 38),
        (67, 38, 42),  # a broken rhythm is still of two notes in time
    ]


def tied_score(*measures):
    """A score in 4/4 of one part; a quarter has two divisions."""
    start = XML.index("<measure")
    attributes = (
        "<attributes><divisions>2</divisions><time><beats>4</beats>"
        "<beat-type>4</beat-type></time></attributes>"
    )
    bodies = [
        f'<measure number="{k}">{attributes if k == 1 else ""}{body}</measure>'
        for k, body in enumerate(measures, 1)
    ]
    return f"{XML[:start]}{''.join(bodies)}</part></score-partwise>"


def written(step, duration, *ties, voice=1, chord=False):
    return (
        f"<note>{'<chord/>' if chord else ''}<pitch><step>{step}</step>"
        f"<octave>4</octave></pitch><duration>{duration}</duration>"
        + "".join(f'<tie type="{tie}"/>' for tie in ties)
        + f"<voice>{voice}</voice></note>"
    )


def notes_of(text):
    sequence = musicxml.parse(text.encode(), "a.xml")
    rows = [(n.pitch, n.start_time * 4, n.end_time * 4) for n in sequence.notes]
    return sorted(rows, key=lambda row: row[1:])


def test_tied_notes_of_musicxml_are_one_note():
    chord = written("C", 8, "start") + written("E", 8, "start", chord=True)
    middle = written("C", 8, "stop", "start") + written("E", 8, "stop", chord=True)
    last = written("C", 2, "stop") + written("C", 6)
    assert notes_of(tied_score(chord, middle, last)) == [
        (64, 0, 16),
        (60, 0, 18),
        (60, 18, 24),
    ]


def test_ties_of_musicxml_may_change_the_voice_and_need_a_start():
    first = (
        written("C", 8, "start")
        + "<backup><duration>8</duration></backup>"
        + written("G", 8, voice=2)
    )
    second = (
        written("G", 8, "stop")
        + "<backup><duration>8</duration></backup>"
        + written("C", 8, "stop", voice=2)
    )
    assert notes_of(tied_score(first, second)) == [(67, 0, 8), (60, 0, 16), (67, 8, 16)]


def test_a_held_note_of_a_score_is_struck_once(tmp_path):
    path = tmp_path / "held.musicxml"
    path.write_text(tied_score(written("C", 8, "start"), written("C", 8, "stop")))
    piece = matrices.from_file(path)
    assert piece.play[:, 60].tolist() == [1] * 32 and not piece.replay.any()
