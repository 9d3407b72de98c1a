"""Tests of the command that makes data sets: what it prints, and how it fails."""

import subprocess
import sys

import pytest
from collections_of_songs import ROOT, write

from poph_tf.data import examples

TOOL = ROOT / "tools" / "make_tfrecords.py"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(TOOL), *arguments], capture_output=True, text=True, cwd=cwd
    )


def test_it_prints_a_table_and_where_to_look(tmp_path):
    root = write(tmp_path / "songs", 8)
    (root / "bach" / "bad.mid").write_text("hello")
    arguments = ["--input=songs", "--output_dir=out", "--num_workers=1"]
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "styles: bach, jazz" in done.stdout
    assert "1         not a MIDI file" in done.stdout
    assert "report.html" in done.stdout
    assert "9 files" in done.stderr
    info = examples.read_info(tmp_path / "out")
    assert info.settings["input"] == ["songs"]
    assert info.provenance["poph_tf"]
    again = run(*arguments, cwd=tmp_path)
    assert again.returncode == 0
    there = done.stdout.replace("Data set made", "Data set was there already")
    assert again.stdout == there != done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--input must be given"),
        (["--input=songs"], "--output_dir must be given"),
        (["--input=gone", "--output_dir=out"], "No file or folder gone"),
        (["--input=empty", "--output_dir=out"], "Found no music files in empty"),
        (["--input=text.mid", "--output_dir=out"], "not a MIDI file"),
        (["--input=notes.txt", "--output_dir=out"], "notes.txt must be a folder"),
        (["--input=songs", "--output_dir=notes.txt"], "Cannot write in notes.txt"),
        (
            ["--input=songs", "--output_dir=out", "--train_fraction=0.9"],
            "must add up to 1",
        ),
        (
            ["--input=songs", "--output_dir=out", "--num_workers=0"],
            "num_workers must be",
        ),
        (["--input=songs", "--output_dir=out", "--programs=x"], "programs must be"),
        (
            ["--input=songs", "--output_dir=out", "--programs=128"],
            "programs must be 0",
        ),
        (["--input=songs", "--output_dir=out", "--metres=4"], "metres must"),
        (["--input=songs", "--output_dir=out", "--align=maybe"], "--align"),
        (["--input=songs", "--output_dir=out", "--styles_csv=gone"], "gone"),
        (["--input=songs", "--output_dir=out", "--nonsense=1"], "nonsense"),
        (["--input=songs", "--output_dir=out", "--min_steps=0"], "min_steps must be"),
    ],
)
def test_wrong_input_ends_with_one_line_and_nothing_half_written(
    tmp_path, arguments, words
):
    write(tmp_path / "songs", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mid").write_text("hello")
    (tmp_path / "notes.txt").write_text("hello")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if "files," not in line]
    assert len(lines) == 1, done.stderr
    assert words in lines[0]
    assert "Traceback" not in done.stderr
    output = tmp_path / "out"
    assert not output.exists() or not list(output.iterdir())


def test_help_teaches(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for word in ("--align", "--styles_csv", "report.html", "lmd_full.tar.gz"):
        assert word in done.stdout
