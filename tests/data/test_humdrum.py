"""Humdrum against values worked by hand."""

import pytest

from poph_tf.data import humdrum, notes, score_sequence
from poph_tf.data.key_signatures import MINOR, UNSAID
from poph_tf.errors import MusicFileError


def score_of(*lines):
    return humdrum.parse("\n".join(lines).encode(), "a.krn")


def rows(*lines, repeats="played"):
    """(pitch, start, end) in quarter notes."""
    sequence = score_sequence.to_sequence(score_of(*lines), repeats=repeats)
    found = notes.from_sequence(sequence)
    ticks = found.ticks_per_quarter
    columns = (found.pitch, found.start_tick / ticks, found.end_tick / ticks)
    return sorted(zip(*(c.tolist() for c in columns), strict=True), key=lambda r: r[1:])


def melody(*tokens, **options):
    return rows("**kern", *tokens, "*-", **options)


def test_pitches_and_lengths():
    assert melody("4c", "8.CC#", "16ee-", "2r", "1%2b##", "0gg") == [
        *((60, 0, 1), (37, 1, 1.75), (75, 1.75, 2), (73, 4, 12), (79, 12, 20))
    ]


def test_chords_ties_and_grace_notes():
    tied = melody("[2c [2e", "=2", "2c] 2e", "4f")
    assert tied == [(64, 0, 2), (60, 0, 4), (64, 2, 4), (65, 4, 5)]
    (c, d, e) = melody("4c", "8qd", "4e")
    assert (c[0], d[0], e) == (60, 62, (64, 1, 2)) and d[2] == 1


def test_spines_go_side_by_side_split_and_join():
    found = rows(
        "**kern\t**kern\t**dynam",
        '*I"Bass\t*I"High\t*',
        "2C\t4c\tf",
        ".\t4d\t.",
        "*\t*^\t*",
        "2D\t2e\t4g\t.",
        ".\t.\t4a\t.",
        "*\t*v\t*v\t*",
        "1E\t1f\t.",
        "*-\t*-\t*-",
    )
    assert sorted(found) == [
        *((48, 0, 2), (50, 2, 4), (52, 4, 8), (60, 0, 1), (62, 1, 2)),
        *((64, 2, 4), (65, 4, 8), (67, 2, 3), (69, 3, 4)),
    ]


def test_the_last_spine_is_the_highest_part():
    parts = score_of("**kern\t**kern", '*I"Bass\t*I"High', "4C\t4c").parts
    assert [part.name for part in parts] == ["High", "Bass"]


def test_bar_lines_in_a_row_are_one():
    assert melody("=1-", "4c", "=2", "=2||", "4d", "==") == [(60, 0, 1), (62, 1, 2)]


def test_columns_come_go_and_change_places():
    found = rows(
        "**kern\t**text",
        "4c\tla",
        "*x\t*x",
        "la\t4d",
        "*+\t*",
        "la\tlo\t4e",
        "*\t**kern\t*",
        "la\t4C\t4f",
        "*-\t*-\t*-",
    )
    assert found == [(60, 0, 1), (62, 1, 2), (64, 2, 3), (48, 3, 4), (65, 3, 4)]
    with pytest.raises(MusicFileError, match="too many columns"):
        rows("**kern", *("\t".join(["*^"] * 2**k) for k in range(8)))


def test_keys_marks_and_drums():
    text = ("**kern", "*k[b-e-]", "*g:", "*MX", "4G", "=2", "*k[f#]", "4r", "*-")
    score = score_of(*text)
    assert [m.key for m in score.measures] == [(-2, MINOR), (1, UNSAID)]
    assert score.measures[0].metre == (0, 0)
    sequence = score_sequence.to_sequence(score)
    found = [(k.time, k.key, k.mode) for k in sequence.key_signatures]
    assert found == [(0, 7, MINOR), (0.5, 7, UNSAID)]
    [notes] = score_of("**kern", "4cT", "4d", "*-").parts[0].notes.values()
    assert [note.mark for note in notes] == ["trill", ""]
    (drum,) = score_of("**kern", "*clefX", "4c", "*-").parts[0].notes[0]
    assert drum.is_drum and drum.pitch == 38


def test_old_encodings_and_tokens_without_a_pitch():
    data = "!!!OTL: Flöte\n**kern\n4c 4\n4%\n*-".encode("latin-1")
    with pytest.raises(MusicFileError, match="not Humdrum"):
        humdrum.parse(data + b"\nx\ty", "a.krn")
    score = humdrum.parse(data, "a.krn")
    assert score.title == "Flöte"
    assert [note.pitch for note in score.parts[0].notes[0]] == [60]
    assert melody("4c", "4CCCCCCC", "4aaaaaa", "4d") == [(60, 0, 1), (62, 3, 4)]


def test_the_title_is_the_first():
    lines = ("!!!OTL@@DE: Lied: eins ", "!!!OTL: Song", "**kern", "4c", "*-")
    assert score_of(*lines).title == "Lied: eins"
    assert score_of("!!!OTL", *lines[1:]).title == "Song"
    assert score_of("!!!COM: Bach", *lines[2:]).title == ""


def test_repeats_of_bar_lines_and_orders_of_sections():
    assert [r[0] for r in melody("1c", "=:|!", "1d")] == [60, 60, 62]
    assert [r[0] for r in melody("1c", "=!|:", "1d", "=:|!")] == [60, 62, 62]
    ordered = ("*>[A,A1,A,A2]", "*>norep[A,A2]", "*>A", "1c", "=2", "*>A1")
    ordered += ("1d", "=:|!", "*>A2", "1e")
    assert [r[0] for r in melody(*ordered)] == [60, 62, 60, 64]
    assert [r[0] for r in melody(*ordered, repeats="once")] == [60, 64]


def test_metre_tempo_and_pickup():
    text = ("**kern", "*M3/4", "*MM60", "4c", "=1", "2.d", "=2", "2.e", "*-")
    sequence = score_sequence.to_sequence(score_of(*text))
    found = [(t.time, t.numerator, t.denominator) for t in sequence.time_signatures]
    assert found == [(0, 3, 4), (1, 3, 4)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            ("", "not Humdrum"),
            ("**dynam\nf", "not Humdrum"),
            ("**kern\nc", "not Humd"),
        ),
        *(("**kern\n4c\t4d", "not Humdrum"), ("**kern\n4r", "has no notes")),
    ],
)
def test_what_is_no_humdrum_is_refused(text, reason):
    with pytest.raises(MusicFileError, match=reason):
        rows(text)
