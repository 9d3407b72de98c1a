"""The curve of a run: its numbers by hand, and the picture."""

import json
import subprocess
import sys

import pytest
import small

from poph_tf.errors import InputError
from poph_tf.rendering import figures
from poph_tf.training import metrics_file, run_plots

ROOT = small.ROOT


def line(step, train, valid, **more):
    figures = {
        "step": step,
        "seconds": 900.0,
        "train": {} if train is None else {"play_nats_per_step": train},
        "valid": {"play_nats_per_step": valid},
    }
    return json.dumps(figures | more)


@pytest.fixture
def run(tmp_path):
    lines = [
        line(100, 6.0, 5.5),
        line(200, None, 4.0, training_seconds=1800.0, memory_mb=800.0),
        line(300, 4.5, 4.25, training_seconds=3600.0, memory_mb=804.4),
        '{"step": 400, "tra',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_a_run_is_read_without_its_partial_line(run):
    found = run_plots.series(metrics_file.read(run))
    assert found == {
        "steps": [100, 200, 300],
        # The first line is from an older run, which recorded only its 900 s.
        "hours": [0.25, 0.5, 1.0],
        "train": [6.0, None, 4.5],
        "valid": [5.5, 4.0, 4.25],
        "memory_mb": [None, 800.0, 804.4],
    }


def test_a_run_is_summarized_in_one_line(run):
    assert run_plots.summary(metrics_file.read(run)) == (
        "300 steps in 1.00 h: valid 5.500 nats/step at step 100, best 4.000 at step "
        "200; resident memory 800 MB first, 804 MB last"
    )


def test_the_command_draws_a_picture_with_and_without_memory(run, tmp_path):
    pytest.importorskip("matplotlib")
    output = tmp_path / "curve.png"
    command = [sys.executable, str(ROOT / "tools" / "plot_run.py")]
    result = subprocess.run(
        # A run that is named twice counts once.
        [*command, *2 * [f"--model_dir={run}"], f"--output={output}", "--title=a"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith("300 steps in 1.00 h")
    with_memory = output.read_bytes()
    assert with_memory[:8] == b"\x89PNG\r\n\x1a\n"
    without_memory = run_plots.draw(metrics_file.read(run)[:1])
    assert len(without_memory.axes) == 2  # the curve, and its hours on top
    figures.save(without_memory, output)
    assert output.read_bytes() != with_memory
    assert {path.name for path in tmp_path.iterdir()} == {"curve.png", "metrics.jsonl"}


def test_several_runs_are_drawn_together_against_minutes(run, tmp_path):
    pytest.importorskip("matplotlib")
    validations = metrics_file.read(run)
    (axes,) = run_plots.draw_together({"a": validations, "b": validations[:1]}, "").axes
    lines = [line.get_xydata().tolist() for line in axes.lines]
    hours, valid = (run_plots.series(validations)[name] for name in ("hours", "valid"))
    assert lines[0] == [[60 * h, nats] for h, nats in zip(hours, valid, strict=True)]
    assert lines[1] == lines[0][:1]
    assert [text.get_text() for text in axes.get_legend().texts] == ["a", "b"]


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match="metrics.jsonl: No such file"):
        metrics_file.read(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="no validation yet"):
        metrics_file.read(tmp_path)
