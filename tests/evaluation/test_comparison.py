"""Composed pieces against real ones: the figures together, and the command."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import small
from tunes import tune_piece

from poph_tf.data import examples, matrices, midi, shards
from poph_tf.errors import InputError
from poph_tf.evaluation import comparison


def pieces_at_random(count, seed):
    random = np.random.default_rng(seed)
    scale = np.array([60, 62, 64, 65, 67, 69, 71, 72])
    return [tune_piece(scale[random.integers(0, 8, 16)].tolist()) for _ in range(count)]


def as_set(pieces):
    return comparison.PieceSet([f"{k}.mid" for k in range(len(pieces))], pieces)


def test_a_comparison_gives_means_deviations_and_shifts():
    composed = as_set([tune_piece([60, 62, 64, 65], 4)] * 2)
    reference = as_set([tune_piece([60, 62, 64, 65], length) for length in (1, 2, 4)])
    result = comparison.compare(composed, reference)
    summary = result["measures"]["notes_per_bar"]
    # 16, 8 and 4 notes per bar: mean 28/3, deviation sqrt(112/3).
    assert summary["reference"]["mean"] == pytest.approx(28 / 3)
    assert summary["reference"]["deviation"] == pytest.approx(math.sqrt(112 / 3))
    assert summary["composed"]["shift"] == pytest.approx(
        (4 - 28 / 3) / math.sqrt(112 / 3)
    )
    copy = result["copies"]["0.mid"]
    assert (copy["attacks"], copy["steps"], copy["reference"]) == (4, 12, "2.mid")


def test_more_of_the_same_overlaps_more_than_something_else():
    reference = as_set(pieces_at_random(40, seed=0))
    same = comparison.compare(as_set(pieces_at_random(40, seed=1)), reference)
    other = [tune_piece([61, 63, 66] * 5, 3) for _ in range(40)]
    different = comparison.compare(as_set(other), reference)
    for name in ("pitch_classes", "note_lengths", "pitch_intervals"):
        alike, unlike = same["distances"][name], different["distances"][name]
        assert alike["overlap_area"] > 0.9 > 0.5 > unlike["overlap_area"]
        assert alike["kl_divergence"] < unlike["kl_divergence"]


def write_midi(folder, pieces):
    folder.mkdir()
    for number, music in enumerate(pieces):
        midi.write(matrices.to_sequence(music), str(folder / f"{number}.mid"))


def write_records(folder, styles=("x",), **splits):
    """Writes pieces by split as a data set; the styles take turns."""
    folder.mkdir()
    infos = {}
    for split, pieces in splits.items():
        name = examples.shard_name(split, 0, 1)
        records = [
            examples.serialize(
                music, style=styles[k % len(styles)], source=f"{split}/{k}.mid"
            )
            for k, music in enumerate(pieces)
        ]
        (folder / name).write_bytes(b"".join(map(shards.framed, records)))
        steps = sum(len(music) for music in pieces)
        infos[split] = examples.SplitInfo(
            (name,), len(pieces), steps, {"x": steps}, {"x": len(pieces)}
        )
    info = examples.DatasetInfo(examples.FORMAT_VERSION, "id", 4, styles, infos)
    examples.write_info(info, folder)


def evaluate(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "poph_tf.evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=small.ROOT,
    )


def test_scores_are_pieces_too_but_not_beside_a_midi_file_of_their_name(tmp_path):
    folder = tmp_path / "set"
    write_midi(folder, pieces_at_random(1, seed=2))
    for name in ("0.abc", "tune.abc", ".hidden.abc"):
        (folder / name).write_text("X:1\nL:1/4\nM:4/4\nK:C\nCDEF|\n")
    (folder / "broken.abc").write_text("not ABC")
    found = comparison.load(folder, "test")
    assert found.names == ["0.mid", "tune.abc"]
    assert sum(found.rejected.values()) == 1


def test_the_command_prints_measures_and_writes_tables_and_pictures(tmp_path):
    write_midi(tmp_path / "out", pieces_at_random(3, seed=2))
    write_midi(tmp_path / "real", pieces_at_random(5, seed=3))
    (tmp_path / "out" / "broken.mid").write_text("not MIDI")
    for name in ("broken.mid", "other.mid"):
        (tmp_path / "real" / name).write_text("not MIDI")
    report = tmp_path / "report"
    result = evaluate(
        f"--compare={tmp_path / 'out'}",
        f"--reference={tmp_path / 'real'}",
        f"--report_dir={report}",
        f"--blind_test={tmp_path / 'blind.html'}",
        "--shuffle=bars",
    )
    assert result.returncode == 0, result.stderr
    assert "note: 3 pieces say little: ranges are for 30 and more." in result.stderr
    assert "Real or composed?" in (tmp_path / "blind.html").read_text("utf-8")
    assert sorted(path.name for path in report.iterdir()) == [
        "comparison.json",
        "comparison.md",
        "histograms.png",
        "measures.png",
    ]
    data = json.loads((report / "comparison.json").read_text("utf-8"))
    assert (data["num_composed"], data["num_reference"]) == (3, 5)
    assert sum(data["rejected"].values()) == 1
    assert sum(data["rejected_reference"].values()) == 2
    assert set(data["pieces"]) == {"0.mid", "1.mid", "2.mid"}
    assert data["measures"]["polyphony"]["composed"]["mean"] == 1
    assert "| polyphony | 1 ± 0 | 1 ± 0 | – |" in (report / "comparison.md").read_text(
        "utf-8"
    )
    printed = json.loads(result.stdout)
    assert {name: printed[name] for name in data["measures"]} == data["measures"]
    assert printed["distances"] == data["distances"] and printed["num_composed"] == 3
    assert printed["guards"]["notes_per_bar"]["within"] is True


def test_guards_are_ranges_around_the_real_pieces():
    real = as_set([tune_piece([60, 62, 64, 65, 67, 69, 71, 72], 4)] * 2)
    # Twice the notes per bar, all short and on one pitch.
    composed = as_set([tune_piece([60] * 16, 2)] * 2)
    found = comparison.compare(composed, real)["guards"]
    notes = found["notes_per_bar"]
    assert (notes["composed"], notes["real"], notes["within"]) == (8, 4, False)
    assert (notes["low"], notes["high"]) == pytest.approx((3.4, 4.6))
    # All notes lie in other bins than the real ones.
    assert (
        found["note_lengths"]["composed"] == found["pitch_intervals"]["composed"] == 1
    )
    # The pieces of a set are equal: they share all attacks.
    shared = found["shared_attacks"]
    assert (shared["composed"], shared["real"], shared["within"]) == (16, 8, False)
    same = comparison.compare(real, real)["guards"]
    assert all(guard["within"] for guard in same.values())


def test_records_are_read_split_by_split(tmp_path):
    write_records(
        tmp_path / "data", train=pieces_at_random(4, 5), test=pieces_at_random(3, 6)
    )
    found = comparison.load(tmp_path / "data", "train")
    assert found.names == [f"train/{k}.mid" for k in range(4)]
    assert found.pieces == pieces_at_random(4, 5)
    assert len(comparison.load(tmp_path / "data", "test", max_pieces=2)) == 2


def test_records_of_one_style_can_be_picked(tmp_path):
    pieces = pieces_at_random(5, 5)
    write_records(tmp_path / "data", styles=("x", "y"), test=pieces)
    found = comparison.load(tmp_path / "data", "test", style="y")
    assert found.pieces == [pieces[1], pieces[3]]
    with pytest.raises(InputError, match="no style 'z'; it has x, y"):
        comparison.load(tmp_path / "data", "test", style="z")


def test_copies_are_searched_in_the_training_split(tmp_path):
    train, test = pieces_at_random(4, 7), pieces_at_random(3, 8)
    write_records(tmp_path / "data", train=train, test=test)
    write_midi(tmp_path / "out", [train[2], *pieces_at_random(1, 9)])
    arguments = {
        "compare": tmp_path / "out",
        "reference": tmp_path / "data",
        "report_dir": tmp_path / "report",
    }
    result = evaluate(*(f"--{name}={value}" for name, value in arguments.items()))
    assert result.returncode == 0, result.stderr
    data = json.loads((tmp_path / "report" / "comparison.json").read_text("utf-8"))
    assert (data["num_reference"], data["num_training"]) == (3, 4)
    copy = data["copies"]["0.mid"]
    assert (copy["attacks"], copy["reference"]) == (16, "train/2.mid")
    assert data["copies"]["1.mid"]["attacks"] < 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare=x"], "--reference must be given"),
        (
            ["--compare=none", "--reference=x"],
            "There is no folder none",
        ),
        (
            ["--compare=x", "--reference=x", "--max_reference=2"],
            "in the range [3, 1000000]",
        ),
    ],
)
def test_wrong_input_ends_in_one_line(arguments, message):
    result = evaluate(*arguments)
    assert result.returncode != 0
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_without_music_is_refused_with_the_reasons(tmp_path):
    (tmp_path / "a.mid").write_text("not MIDI")
    with pytest.raises(InputError, match="nothing there could be read: .* \\(1\\)"):
        comparison.load(tmp_path)
