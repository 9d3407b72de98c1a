"""What a run shows: event files, previews, progress, dry runs."""

import json
import resource
import wave

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config
from poph_tf.cli import progress
from poph_tf.training import dry_run, memory, previews, running_metrics
from poph_tf.training import trainer as trainer_lib
from poph_tf.training.event_log import EventLog, forget_after

SUMS = (
    "steps",
    "play_nats",
    "replay_nats",
    "true_positives",
    "predicted",
    "sounding",
    "harmony",
    "gradient_norm",
)


def values_in(folder):
    """Summary values of the event files in a folder, in order."""
    found = []
    for path in sorted(folder.glob("*.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            found += [(event.step, value) for value in event.summary.value]
    return found


def test_the_event_log_marks_scalars_pictures_and_sounds_as_their_plugins(tmp_path):
    log = EventLog(str(tmp_path))
    png = tf.io.encode_png(np.zeros((2, 3, 3), np.uint8)).numpy()
    wav = tf.audio.encode_wav(np.zeros((8, 1), np.float32), 8000).numpy()
    log.scalars({"loss": 2.5, "missing": None}, 7)
    log.picture("piece", png, 7)
    log.sound("sound", wav, 8)
    (step, loss), (_, picture), (last, sound) = values_in(tmp_path)
    assert (step, last, loss.tag) == (7, 8, "loss")
    assert tf.make_ndarray(loss.tensor) == 2.5
    plugins = [v.metadata.plugin_data.plugin_name for v in (loss, picture, sound)]
    assert plugins == ["scalars", "images", "audio"]
    # Width and height as texts, then the file: what the plugin reads.
    assert tf.make_ndarray(picture.tensor).tolist() == [b"3", b"2", png]
    assert tf.make_ndarray(sound.tensor).tolist() == [[wav, b""]]


def test_steps_that_come_again_are_forgotten_and_the_rest_is_kept(tmp_path):
    first = EventLog(str(tmp_path))
    for step in (2, 4, 6):
        first.scalars({"loss": step / 2}, step)
    with open(first.file.name, "ab") as file:
        file.write(b"half a record")
    forget_after(str(tmp_path), 4)
    again = EventLog(str(tmp_path), 5)
    again.scalars({"loss": 9.0}, 6)
    found = [(s, float(tf.make_ndarray(v.tensor))) for s, v in values_in(tmp_path)]
    assert found == [(2, 1.0), (4, 2.0), (6, 9.0)]
    # What tells a TensorBoard that is running to forget them too.
    (path,) = [p for p in tmp_path.iterdir() if p.name in again.file.name]
    events = list(tf.compat.v1.train.summary_iterator(str(path)))
    assert events[0].file_version == "brain.Event:2"
    assert events[1].step == 5 and events[1].session_log.status == 1  # START


def test_files_without_later_steps_are_left_as_they_are(tmp_path):
    log = EventLog(str(tmp_path))
    log.scalars({"loss": 1.0}, 3)
    before = [(p.name, p.stat().st_ino) for p in tmp_path.iterdir()]
    forget_after(str(tmp_path), 3)
    forget_after(str(tmp_path / "none"), 3)
    assert [(p.name, p.stat().st_ino) for p in tmp_path.iterdir()] == before


def test_a_preview_is_a_picture_and_a_sound_of_the_bars_asked_for(tmp_path):
    preview = previews.Previews(small.model("poph"), num_bars=2)
    piece = preview.compose()
    assert len(piece.cells) == 32
    np.testing.assert_array_equal(preview.compose().cells, piece.cells)
    pytest.importorskip("matplotlib")
    assert previews.picture(piece, "step 1")[:8] == b"\x89PNG\r\n\x1a\n"
    pytest.importorskip("tinysoundfont")
    path = tmp_path / "piece.wav"
    path.write_bytes(previews.sound(piece))
    with wave.open(str(path)) as sound:
        seconds = sound.getnframes() / sound.getframerate()
    # Two bars at 100 quarters a minute are 4.8 s; the last note may end before.
    assert 3.0 < seconds < 6.0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    splits = {
        "train": [small.random_piece(k, 24) for k in range(4)],
        "valid": [small.random_piece(9, 20)],
    }
    return small.write_data_set(tmp_path_factory.mktemp("data") / "set", splits)


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_resident_memory_grows_by_what_is_held():
    before = memory.resident_mb()
    held = np.ones(2**23)  # 64 MB
    assert 50 < memory.resident_mb() - before < 100
    assert held.nbytes == 2**26


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(memory, "STATUS", "/nowhere")
    assert memory.resident_mb() is None


def test_the_step_that_compiles_is_counted_but_not_timed(monkeypatch):
    now = iter([0.0, 36.0, 36.0, 44.0])
    monkeypatch.setattr(running_metrics.time, "monotonic", lambda: next(now))
    sums = dict.fromkeys(SUMS, 2.0)
    counted = running_metrics.Tally()
    for seconds, compiled in ((30.0, True), (3.0, False), (3.0, False)):
        counted.add(sums, seconds, compiled)
    # Two steps in the six seconds after the first.
    found = counted.figures(small.model_config("biaxial"))
    assert (found["seconds"], found["steps_per_second"]) == (6.0, pytest.approx(1 / 3))
    assert found["train"]["num_steps"] == 6 and found["train"]["gradient_norm"] == 2.0
    counted.restart()
    counted.add(sums, 4.0)
    assert counted.figures(small.model_config("biaxial"))["steps_per_second"] == 1 / 8


def test_what_is_waited_for_batches_is_told_as_a_share(monkeypatch):
    # A batch after 1 s and its step of 5 s; a batch after 2 s and its step of 10 s,
    # which compiles and is not timed.
    now = iter([0.0, 0.0, 1.0, 6.0, 8.0, 18.0, 21.0])
    monkeypatch.setattr(running_metrics.time, "monotonic", lambda: next(now))
    counted = running_metrics.Tally()
    seconds = iter([(5.0, False), (10.0, True)])
    taken = []
    for batch in counted.waits(["a", "b"]):
        counted.add(dict.fromkeys(SUMS, 2.0), *next(seconds))
        taken.append(batch)
    assert taken == ["a", "b"]
    found = counted.figures(small.model_config("biaxial"))
    assert found["input_wait_share"] == pytest.approx(3 / (3 + 5))


def test_a_log_gets_a_line_of_progress_once_a_minute(capsys, monkeypatch):
    now = iter([0.0, 1.0, 31.0, 61.0, 62.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    line = progress.StepLine(steps_per_epoch=10, total_steps=120)
    for step in (1, 2, 3, 4):
        line.step(step, {"play_nats": 12.0, "steps": 4.0})
    # Three steps in the 60 s since the first one; 117 left at one in 20 s.
    (text,) = capsys.readouterr().out.splitlines()
    expected = "step 3 (3/10 of an epoch)  3.000 nats/step  0.05 steps/s  39 min left"
    assert text.strip() == expected


def trainer(data_dir, model_dir, **settings):
    common = {"window_steps": 8, "batch_size": 4, "epochs": 5}
    return trainer_lib.Trainer(
        small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1),
        config.TrainingConfig(**common | settings),
        data_dir,
        str(model_dir),
        tf.distribute.get_strategy(),
    )


def test_a_validation_is_a_line_and_events_with_a_composed_piece(data_dir, tmp_path):
    lines = []
    made = trainer(data_dir, tmp_path, max_steps=4, validate_every=2, preview_bars=1)
    made.run(report=lines.append)
    text = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    figures = [json.loads(line) for line in text]
    assert [f["step"] for f in figures] == [2, 4] and len(lines) == 2
    # TensorFlow alone takes more than 100 MB.
    assert 100 < figures[0]["memory_mb"] <= peak_mb()
    assert 0 < figures[0]["training_seconds"] < figures[1]["training_seconds"]
    assert "steps/s" in lines[0] and "left at most" in lines[0]
    events = {(value.tag, step) for step, value in values_in(tmp_path / "tensorboard")}
    for name in ("train/loss", "valid/loss", "valid/play_f1", "train/gradient_norm"):
        assert {(name, 2), (name, 4)} <= events
    pytest.importorskip("matplotlib")
    assert {("composed/picture", 2), ("composed/picture", 4)} <= events


def test_a_dry_run_tells_what_a_run_needs_and_writes_nothing(data_dir, tmp_path):
    made = trainer(data_dir, tmp_path / "model", max_steps=1000, epochs=1000)
    text = "\n".join(dry_run.lines(made))
    assert f"Parameters: {made.model.count_params():,}" in text
    assert "'previous" not in text and "previous [4, 8, 14, 3]" in text
    assert "batches: 4 windows of up to 8 steps" in text
    assert "steps/s" in text and "MB at most" in text
    assert "Whole run: 1000 steps at most" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "Whole run: 1000 steps at most, about 33 min without the validations"),
        (
            {"max_minutes": 10.0},
            "Whole run: 10 min (max_minutes), about 300 of 1000 steps",
        ),
        (
            {"max_minutes": 60.0},
            "Whole run: 1000 steps at most, about 33 min without the validations",
        ),
    ],
)
def test_a_projection_ends_where_the_run_would(settings, text):
    # 1000 steps of 2 s are 33 minutes.
    assert dry_run.whole_run(config.TrainingConfig(**settings), 1000, 2.0) == text
