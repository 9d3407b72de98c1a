"""What a run shows: event files, previews, dry runs."""

import json
import wave

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config, dry_run, previews, training
from poph_tf.event_log import EventLog


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


def trainer(data_dir, model_dir, **settings):
    common = {"window_steps": 8, "batch_size": 4, "epochs": 5}
    return training.Trainer(
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
    assert "steps/s" in text and "MB at most" in text
    assert "Whole run: 1000 steps at most" in text
    assert list(tmp_path.iterdir()) == []
