"""What a run of one process leaves after a failure, and how it continues."""

import json
import pathlib
import shutil
import signal

import numpy as np
import pytest
import small
import tensorflow as tf
from systems import needs_posix

from poph_tf import config, locks, models
from poph_tf.data import dataset
from poph_tf.errors import InputError, Interrupted, TrainingFailed
from poph_tf.training import trainer as trainer_lib
from poph_tf.training.run_log import RunLog

SETTINGS = {
    "window_steps": 8,
    "batch_size": 4,
    "learning_rate": 0.01,
    "optimizer": "muon",
    "shuffle_windows": 16,
    "ema_decay": 0.9,
    "max_steps": 8,
    "validate_every": 2,
    "patience": 0,
}


# For runs that are not compared with others: their graph compiles faster.
PLAIN = {"optimizer": "sgd", "ema_decay": 0.0}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    # Two windows each, wherever they are cut, one in the last: batches of 4, 4 and 1.
    pieces = [small.random_piece(k, n) for k, n in enumerate((13, 12, 9, 13, 5))]
    splits = {"train": pieces, "valid": [small.random_piece(9, 20)]}
    return small.write_data_set(tmp_path_factory.mktemp("data") / "set", splits)


def trainer(data_dir, model_dir, **settings):
    return trainer_lib.Trainer(
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
    seconds = made.counters.seconds
    variables = made.checkpoints.variables
    kept = [v.numpy().ravel() for v in variables if v is not seconds]
    return np.concatenate([value.astype(np.float64) for value in kept])


def validations(model_dir):
    text = (pathlib.Path(model_dir) / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def events(model_dir, tag):
    """Steps of a name in the event files, as TensorBoard shows them."""
    found = small.events_in(model_dir / "tensorboard")
    return [step for step, value in found if value.tag == tag]


def send(number, at):
    def on_step(step, _):
        if step == at:
            signal.raise_signal(number)

    return on_step


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    """An uninterrupted run: (losses by step, outcome, trainer, folder)."""
    folder = tmp_path_factory.mktemp("whole")
    made = trainer(data_dir, folder)
    losses, outcome = run(made)
    return losses, outcome, made, folder


def test_no_epoch_and_no_validation_is_traced_again(whole):
    made = whole[2]  # three epochs, four validations
    compiled = made.train_step.compiled.values()
    assert 1 <= len(compiled) <= dataset.MOST_LENGTHS
    assert all(f.experimental_get_tracing_count() == 1 for f in compiled)
    assert made.validator.scorer._run_window.experimental_get_tracing_count() == 1


def cut_newest_checkpoint(model_dir):
    data = max(
        (model_dir / "checkpoints").glob("*.data-*"), key=lambda p: p.stat().st_mtime_ns
    )
    data.write_bytes(data.read_bytes()[:100])
    return data.name


def known(figures):
    return {name: value for name, value in figures.items() if value is not None}


def test_two_interruptions_and_a_damaged_checkpoint_leave_no_trace_in_the_end(
    data_dir, tmp_path, whole
):
    losses, outcome, unbroken, there = whole
    # In the middle of the second epoch, then at its last batch.
    with pytest.raises(Interrupted, match="SIGTERM at step 5"):
        run(trainer(data_dir, tmp_path), send(signal.SIGTERM, 5))
    with pytest.raises(Interrupted, match="SIGINT at step 6"):
        run(trainer(data_dir, tmp_path), send(signal.SIGINT, 6))
    # As if the machine had died while saving step 6 and writing a later line.
    assert cut_newest_checkpoint(tmp_path).startswith("ckpt-1-6.")
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 7, "tra')
    last = trainer(data_dir, tmp_path)
    rest, resumed = run(last)
    assert list(rest) == [6, 7, 8] and resumed == outcome
    assert rest == pytest.approx({k: losses[k] for k in rest}, rel=1e-6)
    np.testing.assert_allclose(
        everything_in(last), everything_in(unbroken), rtol=1e-5, atol=1e-7
    )
    here = validations(tmp_path)
    assert [line["step"] for line in here] == [2, 4, 6, 8]
    assert events(tmp_path, "train/loss") == [2, 4, 6, 8]
    for one, other in zip(here, validations(there), strict=True):
        assert one["best"] == other["best"]
        # Training figures agree too, although the stops fell between validations.
        ours, theirs = known(one["train"]), known(other["train"])
        assert ours == pytest.approx(theirs, rel=1e-5)
        assert one["valid"].pop("volume_mse") == other["valid"].pop("volume_mse")
        assert one["valid"] == pytest.approx(other["valid"], rel=1e-5)


def test_patience_survives_an_interruption(data_dir, tmp_path):
    settings = PLAIN | {"learning_rate": 0.0, "patience": 2, "validate_every": 1}
    # The first validation is the best; the second is the first without a gain.
    with pytest.raises(Interrupted):
        run(trainer(data_dir, tmp_path, **settings), send(signal.SIGTERM, 2))
    losses, outcome = run(trainer(data_dir, tmp_path, **settings))
    assert list(losses) == [3] and "no better validation in 2" in outcome["reason"]


@needs_posix
def test_a_full_disk_ends_the_run_and_room_lets_it_continue(data_dir, tmp_path, whole):
    import resource

    full = tmp_path / "full"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(step, _):
        if step == 5:  # after the checkpoint of step 4: no later file fits
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(InputError, match="Cannot write .* Make room"):
            run(trainer(data_dir, full), fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # Earlier files are intact, and no partial file is left.
    assert models.load(full).config.preset == "biaxial"
    halves = ("writing", "partial", "temp")
    assert not [p for p in full.rglob("*") if any(half in p.name for half in halves)]
    last = trainer(data_dir, full)
    rest, _ = run(last)
    assert list(rest) == [5, 6, 7, 8]
    np.testing.assert_allclose(
        everything_in(last), everything_in(whole[2]), rtol=1e-5, atol=1e-7
    )
    assert [line["step"] for line in validations(full)] == [2, 4, 6, 8]


def test_metrics_continue_after_lines_of_every_kind_of_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    # Some file systems leave zeros after a power loss; the last line lacks only its
    # end.
    path.write_bytes(b'{"step": 4}\n5\n\xff\n\0\0\n{"step": 6}\n{"st\n{"step": 2}')
    log = RunLog(tmp_path, model=None)
    log.begin({}, 4)
    figures = {"step": 5, "best": False, "train": {}, "valid": {}}
    figures |= {"learning_rate": 1.0, "steps_per_second": 2.0, "input_wait_share": 0.0}
    log.validation(figures)
    assert [line["step"] for line in validations(tmp_path)] == [4, 2, 5]


def test_a_validation_that_is_not_a_number_ends_the_run_before_it_is_saved(
    data_dir, tmp_path
):
    made = trainer(data_dir, tmp_path, **PLAIN, max_steps=4)

    def spoil(step, _):
        if step == 4:
            variable = made.model.trainable_variables[0]
            variable.assign(variable.numpy() * np.nan)

    with pytest.raises(InputError) as caught:
        run(made, spoil)
    message = str(caught.value)
    assert "validation loss is not a number at step 4" in message
    assert f"Last good checkpoint: {tmp_path}/checkpoints/ckpt-1-3." in message
    assert [line["step"] for line in validations(tmp_path)] == [2]


def test_a_loss_that_explodes_ends_the_run_and_keeps_the_best_weights(
    data_dir, tmp_path
):
    made = trainer(data_dir, tmp_path, **PLAIN, max_steps=4)

    def spoil(step, _):
        if step == 4:
            heads = made.model.get_layer("heads")
            heads.bias.assign(heads.bias.numpy() + 1e4)

    with pytest.raises(TrainingFailed) as caught:
        run(made, spoil)
    assert "validation loss has exploded to" in str(caught.value)
    assert f"Best weights: {tmp_path}/model.keras." in str(caught.value)
    assert [line["step"] for line in validations(tmp_path)] == [2]
    bias = models.load(tmp_path).get_layer("heads").bias.numpy()
    assert np.abs(bias).max() < 1e3


def test_two_runs_do_not_share_a_folder(data_dir, tmp_path):
    made = trainer(data_dir, tmp_path, **PLAIN, max_steps=1)
    with (
        locks.held(tmp_path),
        pytest.raises(InputError, match="Another run is at work in"),
    ):
        run(made)
    assert not list(tmp_path.iterdir())


def test_a_damaged_record_is_named(data_dir, tmp_path):
    damaged = shutil.copytree(data_dir, tmp_path / "damaged")
    (shard,) = damaged.glob("train-*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    with pytest.raises(InputError, match=f"{shard.name}: damaged"):
        run(trainer(str(damaged), tmp_path / "model"))


def test_running_out_of_memory_is_reported_in_one_line(data_dir, tmp_path):
    made = trainer(data_dir, tmp_path)

    def too_large(batch):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM of [9,9]\nlong trace")

    made.train_step.run = too_large
    with pytest.raises(InputError) as caught:
        run(made)
    assert "Out of memory at step 0; give a smaller batch_size" in str(caught.value)
    assert "OOM of [9,9]" in str(caught.value) and "trace" not in str(caught.value)


def test_a_new_learning_rate_is_used_and_another_batch_size_is_refused(
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
    with pytest.raises(InputError, match="size=4, not the requested batch_size=2"):
        trainer(data_dir, tmp_path, batch_size=2)
    # The best loss on one set of pieces says nothing about another set.
    with pytest.raises(InputError, match="not the requested max_valid_pieces=1"):
        trainer(data_dir, tmp_path, max_valid_pieces=1)


def test_weights_to_start_from_are_refused_once_a_run_has_begun(data_dir, tmp_path):
    source, begun = tmp_path / "source", tmp_path / "begun"

    def started(model_dir, max_steps, init_from=""):
        settings = PLAIN | {"max_steps": max_steps, "init_from": str(init_from)}
        return trainer(data_dir, model_dir, **settings)

    def init_from(model_dir):
        return models.read_settings(str(model_dir))["training"]["init_from"]

    run(started(source, 1))
    run(started(begun, 1, source))
    # init_from need not be given again and is not forgotten.
    run(started(begun, 2))
    assert init_from(begun) == str(source) and validations(begun)[-1]["step"] == 2
    assert started(begun, 3, source).training.init_from == str(source)
    with pytest.raises(InputError, match="began from new weights, not from .*begun"):
        started(source, 2, begun)
    run(started(source, 2))
    assert init_from(source) == ""


def test_time_is_counted_to_the_millisecond_after_weeks(data_dir, tmp_path):
    made = trainer(data_dir, tmp_path, max_steps=1)
    made.counters.seconds.assign(4e6)
    made.counters.seconds.assign_add(1e-3)
    assert float(made.counters.seconds) == pytest.approx(4e6 + 1e-3, abs=1e-6)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_split_with_only_damaged_records_is_named(data_dir, tmp_path, split):
    folder = shutil.copytree(data_dir, tmp_path / "set")
    for path in dataset.open_split(str(folder), split)[1]:
        pathlib.Path(path).write_bytes(bytes(200))
    made = trainer(str(folder), tmp_path / "run", skip_corrupt=True)
    name = {"train": "training", "valid": "validation"}[split]
    with pytest.raises(InputError, match=f"The {name} split has no piece that can be"):
        run(made)
