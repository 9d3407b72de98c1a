"""The corpus against facts read from its scores (music21 is their source)."""

import dataclasses
import fractions
import os
import subprocess
import sys

import pytest
from collections_of_songs import ROOT
from systems import needs_posix

from poph_tf.data import matrices, midi, score_sequence, scores
from poph_tf.data.preparation import corpus
from poph_tf.errors import InputError, MusicFileError
from poph_tf.evaluation import copying

pytest.importorskip("music21")

TOOL = ROOT / "tools" / "fetch_corpus.py"
FOUR_FOUR, THREE_FOUR = (4, 4), (3, 4)


def quarters(*lengths, metre=FOUR_FOUR):
    return [(fractions.Fraction(length), *metre) for length in lengths]


def bach(stem):
    path = next(p for p in corpus.find("bach") if p.stem == stem)
    entry = dataclasses.replace(corpus.CORPORA["bach"], tempo_qpm=120.0)
    return corpus.to_sequence(scores.parse_one(path), entry)


def starts(sequence, instrument=0):
    """`(start in quarter notes, pitch)` of a voice at one tempo throughout."""
    (tempo,) = sequence.tempos
    voice = [n for n in sequence.notes if n.instrument == instrument]
    return [(round(n.start_time * tempo.qpm / 60, 6), n.pitch) for n in voice]


def tool(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TOOL.parent.parent)},
    )


def test_after_a_pickup_the_time_signature_is_said_again():
    assert score_sequence.bar_lines(quarters(1, 4, 4, 3)) == [(0, 4, 4), (1, 4, 4)]


def test_without_a_pickup_one_time_signature_does():
    assert score_sequence.bar_lines(quarters(4, 4, 4)) == [(0, 4, 4)]


def test_halves_of_a_bar_split_by_a_repeat_sign_are_one_bar():
    metres = score_sequence.bar_lines(quarters(1, 4, 3, 1, 4, 3))
    assert metres == [(0, 4, 4), (1, 4, 4)]


def test_a_bar_of_unusual_length_has_its_own_metre():
    metres = score_sequence.bar_lines(quarters(4, 3, 4, 4))
    assert metres == [(0, 4, 4), (4, 3, 4), (7, 4, 4)]


def test_a_bar_of_unusual_length_is_counted_in_shorter_beats_where_needed():
    metres = score_sequence.bar_lines(quarters(4, fractions.Fraction(7, 2), 4, 4))
    assert metres[1] == (4, 7, 8)


def test_a_metre_that_midi_cannot_say_becomes_one_it_can():
    assert score_sequence.bar_lines(quarters(2, 2, metre=(6, 12))) == [(0, 2, 4)]


def test_a_bar_of_triplets_cut_short_does_not_move_the_bars_after_it():
    third = fractions.Fraction(7, 3)
    # 7/3 of a quarter is 9 1/3 sixteenths; the next bar line is given exactly.
    metres = score_sequence.bar_lines(quarters(4, third, 4, 4))
    assert metres == [(0, 4, 4), (4, 9, 16), (4 + third, 4, 4)]


def test_a_change_of_metre_stands_at_its_bar():
    measures = quarters(4, 4) + quarters(3, 3, metre=THREE_FOUR)
    assert score_sequence.bar_lines(measures) == [(0, 4, 4), (8, 3, 4)]


def test_bwv_66_6_begins_with_an_upbeat_of_two_eighth_notes():
    sequence = bach("bwv66.6")
    soprano = starts(sequence)[:4]
    # C#5 and B4 as eighths, then A4 and B4 as quarters on the first two beats.
    assert list(matrices.from_sequence(sequence).bar_position[:6]) == [
        *(12, 13, 14, 15),
        *(0, 1),
    ]
    assert soprano == [(0.0, 73), (0.5, 71), (1.0, 69), (2.0, 71)]


def test_a_score_without_four_voices_is_rejected_with_a_reason():
    with pytest.raises(MusicFileError, match="not in four voices"):
        bach("bwv846")


def test_instruments_that_double_the_choir_are_left_out():
    names = [info.name for info in bach("bwv1.6").instrument_infos]
    assert sorted(names) == sorted(corpus.VOICES)


def test_chorales_named_as_copies_share_long_passages_with_others():
    pairs = {"bwv244.17": "bwv244.15", "bwv177.4": "bwv117.4"}
    for copy, original in pairs.items():
        assert copy in corpus.CORPORA["bach"].copies
        first, second = (
            matrices.from_sequence(bach(stem)).cells for stem in (original, copy)
        )
        found = copying.Index([first]).longest_copy(second)
        assert found.attacks > len(copying.attacks(second)[0]) / 2


def test_every_name_in_the_list_of_copies_is_a_file():
    stems = {path.stem for path in corpus.find("bach")}
    assert set(corpus.BACH_COPIES) <= stems


def test_copies_are_counted_as_rejected(tmp_path):
    first = [path.stem for path in corpus.find("bach")].index("bwv18.5-w") + 1
    result = corpus.fetch("bach", tmp_path, limit=first, num_workers=2)
    assert result["rejected"] == {"much the same as another piece": 1}
    assert result["written"] == first - 1
    assert not (tmp_path / "bach" / "bwv18.5-w.mid").exists()


def test_fetch_writes_midi_files_that_read_back_the_same(tmp_path):
    result = corpus.fetch("bach", tmp_path, limit=2)
    assert result["written"] == 2 and result["rejected"] == {}
    names = sorted(p.name for p in (tmp_path / "bach").glob("*"))
    assert names == [".corpus.json", "bwv1.6.mid", "bwv2.6.mid"]
    path = corpus.find("bach")[1]
    score = corpus.to_sequence(scores.parse_one(path), corpus.CORPORA["bach"])
    read = midi.read(str(tmp_path / "bach" / "bwv2.6.mid"))
    wanted, got = (
        sorted((n.pitch, round(n.start_time, 3), round(n.end_time, 3)) for n in s.notes)
        for s in (score, read)
    )
    assert got == wanted


def test_fetch_again_keeps_what_is_there_and_restores_what_is_gone(tmp_path):
    corpus.fetch("bach", tmp_path, limit=3)
    kept, gone = tmp_path / "bach" / "bwv1.6.mid", tmp_path / "bach" / "bwv2.6.mid"
    kept.write_bytes(b"mine")
    gone.unlink()
    result = corpus.fetch("bach", tmp_path, limit=3, num_workers=2)
    assert result["written"] == 3
    assert kept.read_bytes() == b"mine"
    assert gone.exists()


def test_the_command_lists_what_there_is():
    result = tool("--list")
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(
        corpus.CORPORA
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus=bartok", "--output_dir=x"], "No corpus is called 'bartok'"),
        (["--corpus=bach"], "Give --corpus and --output_dir"),
        (
            ["--corpus=bach", "--output_dir=x", "--limit=0"],
            "--limit=0: 0 is not a positive integer",
        ),
        pytest.param(
            ["--corpus=bach", "--output_dir=/dev/null/x"],
            "Cannot write into",
            marks=needs_posix,
        ),
    ],
)
def test_wrong_input_ends_in_one_line(arguments, message):
    result = tool(*arguments)
    assert result.returncode != 0
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_music21_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "music21.corpus", None)
    with pytest.raises(InputError, match="pip install music21"):
        corpus.find("bach")


def test_a_score_in_two_formats_is_written_once():
    assert corpus._again(["a/b.mxl", "a/b.xml", "b.xml"]) == {
        "a/b.xml": {
            "written": [],
            "rejected": {"the same score in another format": 1},
        }
    }
