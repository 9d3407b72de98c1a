"""What a run on one process leaves, and how it goes on, when something goes wrong."""

import json
import os
import pathlib
import resource
import shutil
import signal

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config, models, training
from poph_tf.errors import InputError, Interrupted

SETTINGS = {
    "window_steps": 8,
    "batch_size": 4,
    "learning_rate": 0.01,
    "optimizer": "adam",
    "shuffle_windows": 16,
    "ema_decay": 0.9,
    "max_steps": 8,
    "validate_every": 2,
    "patience": 0,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    # 9 windows: batches of 4, 4 and 1.
    pieces = [small.random_piece(k, n) for k, n in enumerate((16, 13, 24, 9))]
    splits = {"train": pieces, "valid": [small.random_piece(9, 20)]}
    return small.write_data_set(tmp_path_factory.mktemp("data") / "set", splits)


def trainer(data_dir, model_dir, **settings):
    return training.Trainer(
        small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1),
        config.TrainingConfig(**SETTINGS | settings),
        data_dir,
        str(model_dir),
        tf.distribute.get_strategy(),
    )


def run(made, on_step=lambda step, sums: None):
    """Trains; returns (losses by step, outcome)."""
    losses = {}

    def note(step, sums):
        losses[step] = sums["loss"]
        on_step(step, sums)

    outcome = made.run(report=lambda line: None, on_step=note)
    return losses, outcome


def everything_in(made):
    """Weights, dropout seeds, moments, averages and counters, one vector."""
    seconds = made.counters["seconds"]
    variables = made.checkpoints.variables
    kept = [v.numpy().ravel() for v in variables if v is not seconds]
    return np.concatenate([value.astype(np.float64) for value in kept])


def validations(model_dir):
    text = (pathlib.Path(model_dir) / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def events(model_dir, tag):
    """Steps of a name in the event files, in their order."""
    return [
        event.step
        for path in sorted((model_dir / "tensorboard").iterdir())
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == tag
    ]


def send(number, at):
    def on_step(step, _):
        if step == at:
            os.kill(os.getpid(), number)

    return on_step


def test_two_interruptions_leave_no_trace_in_the_end(data_dir, tmp_path):
    whole = trainer(data_dir, tmp_path / "whole")
    losses, outcome = run(whole)
    again = tmp_path / "again"
    # In the middle of the second epoch, then at the last batch of it.
    with pytest.raises(Interrupted, match="SIGTERM at step 5"):
        run(trainer(data_dir, again), send(signal.SIGTERM, 5))
    with pytest.raises(Interrupted, match="SIGINT at step 6"):
        run(trainer(data_dir, again), send(signal.SIGINT, 6))
    last = trainer(data_dir, again)
    rest, resumed = run(last)
    assert list(rest) == [7, 8] and resumed == outcome
    assert rest == pytest.approx({7: losses[7], 8: losses[8]}, rel=1e-6)
    np.testing.assert_allclose(
        everything_in(last), everything_in(whole), rtol=1e-5, atol=1e-7
    )
    here, there = validations(again), validations(tmp_path / "whole")
    assert [line["step"] for line in here] == [2, 4, 6, 8]
    assert events(again, "train/loss") == [2, 4, 6, 8]
    for one, other in zip(here, there, strict=True):
        assert one["best"] == other["best"]
        assert one["valid"].pop("volume_mse") == other["valid"].pop("volume_mse")
        assert one["valid"] == pytest.approx(other["valid"], rel=1e-5)


def test_patience_survives_an_interruption(data_dir, tmp_path):
    settings = {"learning_rate": 0.0, "patience": 2, "validate_every": 1}
    # The first validation is the best; the second is the first without a gain.
    with pytest.raises(Interrupted):
        run(trainer(data_dir, tmp_path, **settings), send(signal.SIGTERM, 2))
    losses, outcome = run(trainer(data_dir, tmp_path, **settings))
    assert list(losses) == [3] and "no better validation in 2" in outcome["reason"]


def test_a_disk_that_fills_up_ends_the_run_and_room_lets_it_go_on(data_dir, tmp_path):
    whole = trainer(data_dir, tmp_path / "whole")
    run(whole)
    full = tmp_path / "full"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(step, _):
        if step == 5:  # after the checkpoint of step 4: neither model nor other fits
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(InputError, match="Cannot write .* Make room"):
            run(trainer(data_dir, full), fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # What was there is whole, and no half of anything is left.
    assert models.load(full).config.preset == "biaxial"
    assert not [p for p in full.rglob("*") if "writing" in p.name or "temp" in p.name]
    last = trainer(data_dir, full)
    rest, _ = run(last)
    assert list(rest) == [5, 6, 7, 8]
    np.testing.assert_allclose(
        everything_in(last), everything_in(whole), rtol=1e-5, atol=1e-7
    )
    assert [line["step"] for line in validations(full)] == [2, 4, 6, 8]


def test_validations_after_the_restored_step_come_once(data_dir, tmp_path):
    run(trainer(data_dir, tmp_path, max_steps=4))
    # As if the machine had died between the validation of step 4 and its checkpoint,
    # in the middle of a line.
    for path in (tmp_path / "checkpoints").glob("*-4.*"):
        path.unlink()
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 4, "tra')
    losses, _ = run(trainer(data_dir, tmp_path, max_steps=4))
    assert list(losses) == [4]  # an epoch, and its checkpoint, ended with step 3
    assert [line["step"] for line in validations(tmp_path)] == [2, 4]
    assert events(tmp_path, "valid/loss") == [2, 4]


def test_a_last_line_without_its_end_does_not_swallow_the_next_one(data_dir, tmp_path):
    run(trainer(data_dir, tmp_path, max_steps=2))
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    run(trainer(data_dir, tmp_path, max_steps=4))
    assert [line["step"] for line in validations(tmp_path)] == [2, 4]


def test_a_validation_that_is_no_number_ends_the_run_before_it_is_saved(
    data_dir, tmp_path
):
    made = trainer(data_dir, tmp_path, ema_decay=0.0, max_steps=4)

    def spoil(step, _):
        if step == 4:
            variable = made.model.trainable_variables[0]
            variable.assign(variable.numpy() * np.nan)

    with pytest.raises(InputError) as caught:
        run(made, spoil)
    message = str(caught.value)
    assert "validation loss stopped being a number at step 4" in message
    assert f"Last good checkpoint: {tmp_path}/checkpoints/ckpt-1-3." in message
    assert [line["step"] for line in validations(tmp_path)] == [2]


def test_a_damaged_record_is_named(data_dir, tmp_path):
    damaged = shutil.copytree(data_dir, tmp_path / "damaged")
    (shard,) = damaged.glob("train-*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    with pytest.raises(InputError, match=f"{shard.name}: damaged"):
        run(trainer(str(damaged), tmp_path / "model"))


def test_a_new_learning_rate_is_obeyed_and_other_batches_are_refused(
    data_dir, tmp_path
):
    first = trainer(data_dir, tmp_path, max_steps=2)
    run(first)
    second = trainer(data_dir, tmp_path, max_steps=3, learning_rate=0.0)
    run(second)
    assert validations(tmp_path)[-1]["learning_rate"] == 0.0
    for before, after in zip(
        first.model.trainable_variables, second.model.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(before.numpy(), after.numpy())
    with pytest.raises(InputError, match="batch_size=4, asked for are batch_size=2"):
        trainer(data_dir, tmp_path, batch_size=2)
