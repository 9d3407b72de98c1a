"""Training: the same on any number of replicas, and through any interruption."""

import dataclasses
import gzip
import json
import pathlib
import signal

import forks
import numpy as np
import pytest
import small
import tensorflow as tf
import training_child

from poph_tf import config, models
from poph_tf.data import dataset, examples, shards
from poph_tf.errors import InputError, Interrupted
from poph_tf.evaluation import likelihood
from poph_tf.models import metrics
from poph_tf.training import distribution
from poph_tf.training import trainer as trainer_lib

SETTINGS = {
    "window_steps": 8,
    "batch_size": 4,
    "epochs": 50,
    "learning_rate": 0.01,
    "shuffle_windows": 16,
    "patience": 0,
}
# Two windows each, wherever they are cut, one in the last: batches of 4, 4 and 1.
LENGTHS = (13, 12, 9, 13, 5)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    pieces = [small.random_piece(k, n) for k, n in enumerate(LENGTHS)]
    splits = {"train": pieces, "valid": [small.random_piece(9, 20)]}
    return small.write_data_set(tmp_path_factory.mktemp("data") / "set", splits)


def start(job, **arguments):
    return forks.Fork(training_child.run_job, job=job, **arguments)


def finish(process):
    """The child's answer, or None if it was killed."""
    code, told = process.finish()
    if code == -signal.SIGKILL:
        return None
    assert code == 0
    return told[-1]


# In separate processes.

# One window each, in batches of 4, 4 and 1: every further batch length would need its
# own graph.
SHORT_LENGTHS = (5, 6, 7, 8, 8, 8, 8, 8, 8)


@pytest.mark.parametrize(
    ("name", "optimizer", "learning_rate", "tolerance"),
    # Muon amplifies small directions of a gradient and their rounding errors.
    [("poph2", "sgd", 0.5, 1e-5), ("biaxial", "muon", 0.01, 1e-3)],
)
def test_replicas_and_slices_take_the_steps_of_one(
    tmp_path, name, optimizer, learning_rate, tolerance
):
    pieces = [small.random_piece(k, n) for k, n in enumerate(SHORT_LENGTHS)]
    data_dir = small.write_data_set(tmp_path / "set", {"train": pieces})
    settings = SETTINGS | {
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "clip_norm": 0.5,
    }
    arguments = {"data_dir": data_dir, "training_settings": settings, "name": name}
    found = finish(start("replicas", **arguments))
    assert found["replicas"] == 2
    one = found["one"]
    # One of the batches has a single window: the second replica gets none.
    assert min(sums["steps"] for sums in one["sums"]) <= 8
    assert sum(sums["steps"] for sums in one["sums"]) == sum(SHORT_LENGTHS)
    assert min(sums["gradient_norm"] for sums in one["sums"]) > 0.5  # it is clipped
    for way in ("two", "slices", "parts"):
        other = found[way]
        for a, b in zip(one["sums"], other["sums"], strict=True):
            assert set(a) == set(b)
            for key in a:
                close = pytest.approx(a[key], rel=10 * tolerance, abs=tolerance)
                assert b[key] == close, (way, key)
        np.testing.assert_allclose(other["weights"], one["weights"], atol=tolerance)


def test_a_run_killed_within_an_epoch_ends_like_an_uninterrupted_one(
    data_dir, tmp_path
):
    # Three steps per epoch, a checkpoint every other step: the kill after step 5 falls
    # within the second epoch and loses one step.
    settings = SETTINGS | {"max_steps": 8, "validate_every": 2, "deterministic": True}
    common = {"data_dir": data_dir, "training_settings": settings}
    killed, other = str(tmp_path / "killed"), str(tmp_path / "whole")
    assert finish(start("runs", model_dirs=[killed], kill_at=5, **common)) is None
    # Started again in a new process, which also runs the uninterrupted one.
    resumed, whole = finish(start("runs", model_dirs=[killed, other], **common))
    assert whole["steps"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert resumed["steps"] == [5, 6, 7, 8]
    assert resumed["reason"] == whole["reason"] == "max_steps=8 reached"
    assert resumed["best_loss"] == whole["best_loss"]
    np.testing.assert_array_equal(resumed["weights"], whole["weights"])


def test_a_mirrored_run_that_was_killed_ends_like_an_uninterrupted_one(tmp_path):
    pieces = [small.random_piece(seed, 8) for seed in range(4)]
    splits = {"train": pieces, "valid": pieces[:1]}
    # Two steps per epoch: the kill after step 3 falls within the second one.
    settings = {"batch_size": 2, "max_steps": 4, "validate_every": 2}
    common = {
        "data_dir": small.write_data_set(tmp_path / "set", splits),
        "training_settings": SETTINGS | settings | {"deterministic": True},
        "replicas": 2,
    }
    killed, other = str(tmp_path / "killed"), str(tmp_path / "whole")
    assert finish(start("runs", model_dirs=[killed], kill_at=3, **common)) is None
    resumed, whole = finish(start("runs", model_dirs=[killed, other], **common))
    assert resumed["replicas"] == whole["replicas"] == 2
    assert (resumed["steps"], whole["steps"]) == ([3, 4], [1, 2, 3, 4])
    assert resumed["best_loss"] == whole["best_loss"]
    np.testing.assert_array_equal(resumed["weights"], whole["weights"])


# In this process.


def trainer(data_dir, model_dir, **settings):
    model_config = small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1)
    return trainer_lib.Trainer(
        model_config,
        config.TrainingConfig(**SETTINGS | settings),
        data_dir,
        str(model_dir),
        tf.distribute.get_strategy(),
    )


def test_steps_and_scores_are_cut_and_only_long_runs_have_a_graph_for_each_length(
    data_dir, tmp_path
):
    for max_steps, any_length in ((499, True), (500, False)):
        made = trainer_lib.Trainer(
            small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1),
            config.TrainingConfig(
                **SETTINGS | {"epochs": 1000, "max_steps": max_steps}
            ),
            data_dir,
            str(tmp_path),
            tf.distribute.get_strategy(),
            slices=2,
        )
        assert made.train_step.slices == made.validator.scorer.slices == 2
        assert made.train_step.any_length == any_length


def run(made, on_step=lambda step, sums: None):
    lines = []
    outcome = made.run(report=lines.append, on_step=on_step)
    return outcome, lines


def steps_of(model_dir):
    text = (pathlib.Path(model_dir) / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line)["step"] for line in text.splitlines()]


def test_the_best_weights_are_those_that_scored_best(data_dir, tmp_path):
    made = trainer(data_dir, tmp_path, max_steps=6, validate_every=2, ema_decay=0.5)
    losses = []
    outcome, lines = run(made, lambda step, sums: losses.append(sums["loss"]))
    assert len(lines) == 3 and len(losses) == 6
    assert sum(losses[3:]) < sum(losses[:3])  # epochs of three steps
    model = models.load(tmp_path)
    _, paths = dataset.open_split(data_dir, "valid")
    sums = likelihood.Scorer(model, 4).sums(dataset.read_pieces(paths))
    figures = metrics.summarize(sums, model.config)
    assert figures["loss"] == pytest.approx(outcome["best_loss"], rel=1e-4)
    settings = models.read_settings(tmp_path)
    assert config.ModelConfig.from_dict(settings["model"]) == model.config
    assert settings["data"]["id"] == examples.read_info(data_dir).id
    assert settings["num_parameters"] == model.count_params()


def test_a_run_that_ends_or_stops_before_its_first_validation_keeps_its_weights(
    data_dir, tmp_path
):
    settings = {"epochs": 1, "validate_every": 100, "ema_decay": 0.5}
    stopped = trainer(data_dir, tmp_path, **settings)
    with pytest.raises(Interrupted, match="step 1. model.keras .* not validated"):
        run(stopped, lambda step, sums: signal.raise_signal(signal.SIGTERM))
    assert_weights(models.load(tmp_path), stopped.state.averages)
    ended = trainer(data_dir, tmp_path, **settings)
    outcome, _ = run(ended)
    assert outcome["step"] == 3 and "epochs=1" in outcome["reason"]
    assert steps_of(tmp_path) == [3]
    assert_weights(models.load(tmp_path), ended.state.averages)


def assert_weights(model, expected):
    for variable, weight in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_array_equal(variable.numpy(), weight.numpy())


def test_a_loss_that_is_not_a_number_names_the_pieces(data_dir, tmp_path):
    made = trainer(data_dir, tmp_path, max_steps=9)

    def spoil(step, _):
        variable = made.model.trainable_variables[0]
        variable.assign(variable.numpy() * np.nan)

    _, paths = dataset.open_split(data_dir, "train")
    with pytest.raises(InputError) as caught:
        run(made, spoil)
    message = str(caught.value)
    assert "at step 2" in message and "clip_norm" in message
    named = dataset.batch_ids(made.stream, 0, 1)
    batch = list(dataset.training_batches(made.stream, 0))[1]
    assert len(named) == int(batch["mask"].numpy().any(axis=1).sum())
    for piece_id, first_step in named:
        assert f"{piece_id[:12]} from step {first_step}" in message


def test_a_damaged_record_ends_a_run_or_is_skipped_and_counted(tmp_path):
    pieces = [small.random_piece(k, n) for k, n in enumerate(LENGTHS)]
    splits = {"train": pieces, "valid": [small.random_piece(9, 20)] * 2}
    folder = small.write_data_set(tmp_path / "set", splits)
    for split in splits:
        (path,) = dataset.open_split(folder, split)[1]
        members = [
            gzip.compress(shards.framed(record), mtime=0)
            for _, record in shards.read(path)
        ]
        pathlib.Path(path).write_bytes(b"".join([members[0][:-30], *members[1:]]))
    made = trainer(folder, tmp_path / "run", epochs=1, skip_corrupt=True)
    around, made.stream = made.stream, dataclasses.replace(made.stream, damaged=False)
    with pytest.raises(InputError, match="train-00000.* (at|near) byte"):
        run(made)
    made.stream = around
    lines = []
    # 7 windows are left: two batches.
    assert made.run(report=lines.append)["step"] == 2
    assert lines[0].startswith("Skips 1 damaged record(s): ")
    assert "train-00000" in lines[0] and "at byte 0 of the file" in lines[0]
    assert any("Skipped in the validation: " in line for line in lines)


def test_a_batch_must_be_divisible_by_replicas_and_a_run_keeps_its_model(tmp_path):
    with pytest.raises(InputError, match="batch_size .* 3 for 2"):
        distribution.check_batch(3, 2)
    model_config = small.model_config("biaxial")
    settings = {"model": model_config.to_dict()}
    (tmp_path / models.SETTINGS_FILE).write_text(json.dumps(settings))
    trainer_lib.check_same_run(str(tmp_path), model_config)
    with pytest.raises(InputError, match="=6, not the requested num_time_units=7"):
        other = small.model_config("biaxial", num_time_units=7)
        trainer_lib.check_same_run(str(tmp_path), other)
