"""Scores against MIDI, onset by onset, with numbers worked by hand."""

from fractions import Fraction

from poph_tf.data.score import Note
from poph_tf.data.tones import Tone
from poph_tf.evaluation import onsets


def tone(start, pitch, length=1, **options):
    at = Fraction(start)
    note = Note(at, Fraction(length), pitch, **options)
    return Tone(at, at + note.length, note, at)


def test_equal_onsets_may_differ_by_a_24th_of_a_quarter():
    found = onsets.compare_onsets([tone(0, 60), tone(1, 62)], [(0, 60), (1.03, 62)])
    assert (found.equal, found.missing, found.extra, found.share) == (2, 0, 0, 1)
    found = onsets.compare_onsets([tone(0, 60), tone(1, 62)], [(0, 60), (1.1, 62)])
    assert (found.equal, found.missing, found.extra) == (1, 1, 1)
    assert found.share == 1 / 3


def test_what_an_ornament_adds_is_left_out_and_counted():
    trill = tone(1, 62, mark="ornament")
    played = [(0, 60), (1, 64), (1.25, 62), (1.5, 64), (1.75, 62), (1.5, 70)]
    found = onsets.compare_onsets([tone(0, 60), trill], played)
    assert (found.equal, found.missing, found.extra) == (1, 1, 0)
    assert found.left_out == {"ornament": 1} and found.added == {"ornament": 4}
    assert found.left_out_share == 1 / 2


def test_played_ornaments_are_compared_but_set_nothing_more_aside():
    trill = tone(1, 62, mark="trill")
    sounding = [
        tone(1, 62, Fraction(1, 2), mark="trill"),
        tone(Fraction(3, 2), 64, mark="trill"),
    ]
    sounding[1].written = Fraction(1)
    # 66 is a tone above the trill's second note, but two above the written one.
    found = onsets.compare_onsets([trill], [(1, 62), (1.5, 64), (1.6, 66)], sounding)
    assert (found.equal, found.missing, found.extra) == (2, 1, 0)
    assert not found.left_out and found.added == {"ornament": 0}
    found = onsets.compare_onsets([trill], [(1, 62), (1.75, 64)], sounding)
    assert (found.equal, found.missing) == (1, 0)
    assert found.left_out == {"ornament": 1} and found.added == {"ornament": 1}


def test_a_note_behind_grace_notes_may_come_late():
    tones = [tone(1, 64, 0, grace=1), tone(1, 62)]
    found = onsets.compare_onsets(tones, [(1, 64), (1.2, 62)])
    assert (found.equal, found.missing, found.extra) == (1, 0, 0)
    assert found.left_out == {"grace": 1}
    assert onsets.total([found, found]).equal == 2


def test_the_notes_of_a_chord_have_its_ornament():
    tones = [tone(0, 60, mark="ornament"), tone(0, 70), tone(0, 40, voice="2")]
    found = onsets.compare_onsets(tones, [(0, 62), (0, 72), (0, 42)])
    assert found.left_out == {"ornament": 2} and found.extra == 1
    assert found.added == {"ornament": 2} and found.missing == 1
