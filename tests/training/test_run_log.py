"""The log of a run: event files, previews, progress, dry runs."""

import io
import json
import wave

import numpy as np
import pytest
import small
import tensorflow as tf
from systems import needs_posix

from poph_tf import config, models
from poph_tf.cli import progress
from poph_tf.errors import InputError
from poph_tf.training import (
    dry_run,
    metrics_file,
    previews,
    run_log,
    run_state,
    running_metrics,
)
from poph_tf.training import trainer as trainer_lib
from poph_tf.training.events import EventWriter

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


def test_event_files_mark_scalars_pictures_and_sounds_for_their_plugins(tmp_path):
    events = EventWriter(tmp_path)
    png = tf.io.encode_png(np.zeros((2, 3, 3), np.uint8)).numpy()
    wav = tf.audio.encode_wav(np.zeros((8, 1), np.float32), 8000).numpy()
    events.scalars({"loss": 2.5, "missing": None}, 7)
    events.picture("piece", png, 7)
    events.sound("sound", wav, 8)
    events.writer.flush()
    (step, loss), (_, picture), (last, sound) = small.events_in(tmp_path)
    assert (step, last, loss.tag) == (7, 8, "loss")
    assert tf.make_ndarray(loss.tensor) == 2.5
    plugins = [v.metadata.plugin_data.plugin_name for v in (loss, picture, sound)]
    assert plugins == ["scalars", "images", "audio"]
    assert loss.metadata.data_class == 1  # DATA_CLASS_SCALAR
    # The plugin reads width and height as texts, then the file.
    assert tf.make_ndarray(picture.tensor).tolist() == [b"3", b"2", png]
    assert tf.make_ndarray(sound.tensor).tolist() == [[wav, b""]]
    assert sound.metadata.plugin_data.content == b"\x10\x0b"  # encoding: WAV


def test_a_resumed_run_makes_tensorboard_forget_the_steps_that_it_repeats(tmp_path):
    for steps, first_step in (((2, 4, 6), 0), ((6,), 5)):
        events = EventWriter(tmp_path, first_step)
        for step in steps:
            events.scalars({"loss": step + first_step}, step)
        events.writer.flush()
    found = [
        (s, float(tf.make_ndarray(v.tensor))) for s, v in small.events_in(tmp_path)
    ]
    assert found == [(2, 2.0), (4, 4.0), (6, 11.0)]
    *_, path = small.event_files(tmp_path)
    first, start = list(tf.compat.v1.train.summary_iterator(str(path)))[:2]
    # TensorBoard looks for START in files of this version.
    assert first.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (5, 1)  # START


def test_a_preview_is_a_picture_and_a_sound_of_the_bars_asked_for(tmp_path):
    preview = previews.Previews(small.model("poph"), num_bars=2)
    piece = preview.compose()
    assert len(piece.cells) == 32
    np.testing.assert_array_equal(preview.compose().cells, piece.cells)
    pytest.importorskip("matplotlib")
    assert previews.picture(piece, "step 1")[:8] == b"\x89PNG\r\n\x1a\n"
    pytest.importorskip("tinysoundfont")
    with wave.open(io.BytesIO(previews.sound(piece))) as sound:
        assert sound.getnchannels() == 1
        seconds = sound.getnframes() / sound.getframerate()
    # Two bars at 100 quarters a minute are 4.8 s; the last note may end earlier.
    assert 3.0 < seconds < 6.0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    splits = {
        "train": [small.random_piece(k, 24) for k in range(4)],
        "valid": [small.random_piece(9, 20)],
    }
    return small.write_data_set(tmp_path_factory.mktemp("data") / "set", splits)


def peak_mb():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_step_that_compiles_is_counted_but_not_timed(monkeypatch):
    now = iter([0.0, 36.0, 36.0, 44.0])
    monkeypatch.setattr(running_metrics.time, "monotonic", lambda: next(now))
    sums = dict.fromkeys(SUMS, 2.0)
    running = running_metrics.RunningMetrics()
    for seconds, compiled in ((30.0, True), (3.0, False), (3.0, False)):
        running.add(sums, seconds, compiled)
    # Two steps in the six seconds after the first.
    found = running.figures(small.model_config("biaxial"))
    assert (found["seconds"], found["steps_per_second"]) == (6.0, pytest.approx(1 / 3))
    assert found["train"]["num_steps"] == 6 and found["train"]["gradient_norm"] == 2.0
    running.reset()
    running.add(sums, 4.0)
    assert running.figures(small.model_config("biaxial"))["steps_per_second"] == 1 / 8


def test_the_wait_for_batches_is_a_share_of_the_time(monkeypatch):
    # A batch after 1 s and its step of 5 s; a batch after 2 s and its step of 10 s,
    # which compiles and is not timed.
    now = iter([0.0, 0.0, 1.0, 6.0, 8.0, 18.0, 21.0])
    monkeypatch.setattr(running_metrics.time, "monotonic", lambda: next(now))
    running = running_metrics.RunningMetrics()
    seconds = iter([(5.0, False), (10.0, True)])
    taken = []
    for batch in running.timed(["a", "b"]):
        running.add(dict.fromkeys(SUMS, 2.0), *next(seconds))
        taken.append(batch)
    assert taken == ["a", "b"]
    found = running.figures(small.model_config("biaxial"))
    assert found["input_wait_share"] == pytest.approx(3 / (3 + 5))


def test_a_log_gets_a_line_of_progress_once_a_minute(monkeypatch):
    now = iter([0.0, 1.0, 31.0, 61.0, 62.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    log = io.StringIO()
    line = progress.Progress(120, "steps", log)
    for step in (1, 2, 3, 4):
        line.update(step, f"epoch {step / 10:.1f}  3.000 nats/step")
    # Three steps in the 60 s since the first one; 117 left at 20 s each.
    (text,) = log.getvalue().splitlines()
    assert text == "3/120 steps  epoch 0.3  3.000 nats/step  0.03/s  58 min left"


def test_epochs_count_by_the_steps_of_completed_epochs():
    counters = run_state.Counters()
    # The estimate is 5 steps per epoch; epochs have 6.
    for step, epoch, batch, done in (
        (2, 0, 2, 0.4),
        (6, 0, 6, 1.0),
        (10, 1, 4, 1 + 4 / 6),
        (18, 3, 0, 3.0),
    ):
        counters.step.assign(step)
        counters.epoch.assign(epoch)
        counters.batch.assign(batch)
        assert counters.epochs_done(5) == pytest.approx(done)


def trainer(data_dir, model_dir, **settings):
    common = {"window_steps": 8, "batch_size": 4, "epochs": 5}
    return trainer_lib.Trainer(
        small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1),
        config.TrainingConfig(**common | settings),
        data_dir,
        model_dir,
        tf.distribute.get_strategy(),
    )


@needs_posix
def test_a_validation_is_a_line_and_events_with_a_composed_piece(data_dir, tmp_path):
    lines = []
    made = trainer(data_dir, tmp_path, max_steps=4, validate_every=2, preview_bars=1)
    made.run(report=lines.append)
    figures = metrics_file.read(tmp_path)
    assert [f["step"] for f in figures] == [2, 4] and len(lines) == 2
    # TensorFlow alone takes more than 100 MB.
    assert 100 < figures[0]["memory_mb"] <= peak_mb()
    assert 0 < figures[0]["training_seconds"] < figures[1]["training_seconds"]
    assert "steps/s" in lines[0] and "left at most" in lines[0]
    found = small.events_in(tmp_path / "tensorboard")
    events = {(value.tag, step) for step, value in found}
    for name in ("train/loss", "valid/loss", "valid/play_f1", "train/gradient_norm"):
        assert {(name, 2), (name, 4)} <= events
    pytest.importorskip("matplotlib")
    assert {("composed/picture", 2), ("composed/picture", 4)} <= events


def test_a_run_of_an_earlier_version_is_the_same_run(tmp_path):
    model_config = small.model_config("poph2")
    training = config.TrainingConfig(epochs=3)
    settings = {
        "model": model_config.to_dict(),
        "training": training.to_dict(),
        "data": {"id": "0123456789abcdef"},
    }
    # A setting under its earlier name, and a newer one missing.
    settings["model"]["chosen_notes"] = settings["model"].pop("pitch_context")
    del settings["training"]["max_minutes"]
    (tmp_path / models.SETTINGS_FILE).write_text(json.dumps(settings))
    run_log.check_same_run(tmp_path, model_config, training, "0123456789abcdef")
    assert run_log.slices_of(tmp_path) == 1
    for other, text in (
        (
            small.model_config("poph2", pitch_context="note"),
            "pitch_context=window, not",
        ),
        (
            small.model_config("poph2", num_time_units=7),
            "not the requested num_time_units=7",
        ),
    ):
        with pytest.raises(InputError, match=text):
            run_log.check_same_run(tmp_path, other, training)
    with pytest.raises(InputError, match="=0123456789ab, not the requested data=fedc"):
        run_log.check_same_run(tmp_path, model_config, training, "fedcba9876543210")


def test_former_names_of_training_settings_are_the_same_run(tmp_path, monkeypatch):
    training, model_config = config.TrainingConfig(), small.model_config("poph2")
    settings = {"model": model_config.to_dict(), "training": training.to_dict()}
    settings["training"]["windows_shuffled"] = settings["training"].pop(
        "shuffle_windows"
    )
    (tmp_path / models.SETTINGS_FILE).write_text(json.dumps(settings))
    with pytest.raises(InputError, match="shuffle_windows=None"):
        run_log.check_same_run(tmp_path, model_config, training)
    former = {"windows_shuffled": "shuffle_windows"}
    monkeypatch.setattr(config.TrainingConfig, "renamed", former)
    run_log.check_same_run(tmp_path, model_config, training)


def test_a_dry_run_reports_the_needs_of_a_run_and_writes_nothing(data_dir, tmp_path):
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
        ({}, "Whole run: 1000 steps at most, about 33 min without validations"),
        (
            {"max_minutes": 10.0},
            "Whole run: 10 min (max_minutes), about 300 of 1000 steps",
        ),
        (
            {"max_minutes": 60.0},
            "Whole run: 1000 steps at most, about 33 min without validations",
        ),
    ],
)
def test_a_projection_ends_where_the_run_would(settings, text):
    # 1000 steps of 2 s are 33 minutes.
    assert dry_run.whole_run(config.TrainingConfig(**settings), 1000, 2.0) == text
