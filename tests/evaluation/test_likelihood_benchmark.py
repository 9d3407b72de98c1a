"""The piano-roll benchmarks: files, settings from the size of the data, results."""

import dataclasses
import json
import os
import pickle

import numpy as np
import pytest
import small
from scipy import io

from poph_tf import config
from poph_tf.data import dataset, examples, piano_rolls
from poph_tf.errors import InputError
from poph_tf.evaluation import likelihood_benchmark as benchmark
from poph_tf.evaluation.runs import Run, Runner

TRAINING = config.TrainingConfig()
# Some shorter than any window, one longer than all.
LENGTHS = {"train": (9, 30, 200, 5), "valid": (9, 40), "test": (1, 9, 210)}


@pytest.fixture(scope="module")
def rolls():
    """Splits of rolls, with notes at both ends of the range."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, lengths in LENGTHS.items():
        notes = [rng.random((n // 4 + 1, 88)) < 0.05 for n in lengths]
        splits[name] = [
            np.repeat(k, 4, axis=0)[:n].astype(np.uint8)
            for k, n in zip(notes, lengths, strict=True)
        ]
        splits[name][0][0, [0, 87]] = 1
    return splits


def write_npz(rolls, path):
    arrays = {}
    for name, pieces in rolls.items():
        arrays[name] = np.packbits(np.concatenate(pieces), axis=1)
        arrays[f"{name}_lengths"] = np.array([len(roll) for roll in pieces])
    np.savez(path, **arrays)


def write_pickle(rolls, path):
    def steps(roll):
        return [tuple(int(n) + 21 for n in np.flatnonzero(step)) for step in roll]

    table = {name: [steps(roll) for roll in pieces] for name, pieces in rolls.items()}
    with open(path, "wb") as file:
        pickle.dump(table, file, protocol=2)


def write_mat(rolls, path):
    table = {}
    for name, pieces in rolls.items():
        cells = np.empty((1, len(pieces)), object)
        for k, roll in enumerate(pieces):
            cells[0, k] = roll.astype(np.float64)
        table[f"{name}data"] = cells
    io.savemat(path, table)


@pytest.mark.parametrize(
    ("write", "extension"),
    [(write_npz, "npz"), (write_pickle, "pickle"), (write_mat, "mat")],
)
def test_every_kind_of_file_gives_the_same_rolls(write, extension, rolls, tmp_path):
    path = str(tmp_path / f"rolls.{extension}")
    write(rolls, path)
    read = piano_rolls.read(path)
    assert set(read) == set(rolls)
    for name, pieces in rolls.items():
        assert len(read[name]) == len(pieces)
        for got, expected in zip(read[name], pieces, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("extension", ["npz", "pickle", "mat"])
def test_a_file_that_is_something_else_is_an_input_error(extension, tmp_path):
    path = tmp_path / f"rolls.{extension}"
    for data in (b"nothing of the kind, whatever it is called" * 9, b"", bytes(200)):
        path.write_bytes(data)
        with pytest.raises(InputError, match="is not a piano-roll benchmark"):
            piano_rolls.read(str(path))


def test_what_is_missing_or_out_of_range_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        piano_rolls.read(str(tmp_path / "none.npz"))
    with pytest.raises(InputError, match="must be one of .npz"):
        piano_rolls.read(str(tmp_path / "rolls.csv"))
    path = tmp_path / "rolls.pickle"
    path.write_bytes(pickle.dumps({name: [[(20,)]] for name in LENGTHS}))
    with pytest.raises(
        InputError,
        match="train, piece 0: pitches must be 21 to 108, got 20 at step 0",
    ):
        piano_rolls.read(str(path))
    path = tmp_path / "rolls.npz"
    bits = {name: np.zeros((5, 11), np.uint8) for name in LENGTHS}
    np.savez(path, **bits, **{f"{name}_lengths": [2, 2] for name in LENGTHS})
    with pytest.raises(InputError, match="train .* sum to its 5 rows, got .* 4"):
        piano_rolls.read(str(path))
    np.savez(path, **bits, **{f"{name}_lengths": [7, -2] for name in LENGTHS})
    with pytest.raises(InputError, match="lengths of train must be positive"):
        piano_rolls.read(str(path))
    # All 128 MIDI pitches: the first 88 of them are not the piano's.
    bits = {name: np.zeros((5, 16), np.uint8) for name in LENGTHS}
    np.savez(path, **bits, **{f"{name}_lengths": [5] for name in LENGTHS})
    with pytest.raises(InputError, match=r"packed rows of 11 .*\(5, 16\)"):
        piano_rolls.read(str(path))


def test_a_pickle_cannot_run_code(tmp_path):
    path = tmp_path / "rolls.pickle"
    path.write_bytes(pickle.dumps({"train": [print]}))
    with pytest.raises(InputError, match="refuses builtins.print"):
        piano_rolls.read(str(path))


def split_of(pieces, steps):
    return examples.SplitInfo((), pieces, steps, {}, {})


@pytest.mark.parametrize(
    ("pieces", "steps", "batch", "valid", "dropout", "max_steps"),
    [
        # Pieces of 50 steps: 384 / 50, 3840 / 50; 0.56 - 0.18 x 1; 600 at least.
        (200, 10_000, 8, 77, 0.4, 600),
        # Of 125 steps; 0.56 - 0.18 x 2; 6 x (100 / 13.8) ^ 0.63 = 20.9.
        (800, 100_000, 3, 31, 0.2, 2100),
        # Of 100,000, cut to 144 on average; eight pieces at least; not below 0.1; 4,000
        # at most.
        (10, 1_000_000, 3, 8, 0.1, 4000),
        # Of 3, and no more than 32 windows; not above 0.5.
        (10, 30, 32, 1280, 0.5, 600),
    ],
)
def test_training_follows_from_the_size_of_the_data(
    pieces, steps, batch, valid, dropout, max_steps, monkeypatch
):
    split = split_of(pieces, steps)
    training = benchmark.training_for(split)
    assert (training.window_steps, training.batch_size) == (192, batch)
    assert (training.max_valid_pieces, training.max_steps) == (valid, max_steps)
    assert training.validate_every * benchmark.VALIDATIONS == training.max_steps
    assert benchmark.dropout_for(split) == dropout
    monkeypatch.setattr(examples, "read_info", lambda _: info_of(split))
    planned = benchmark.plan(("jsb", "biaxial"), "biaxial", "data", {}, {})
    assert planned.model.dropout == dropout and planned.training == training
    # The network would memorize small sets through its state too.
    assert planned.model.recurrent_dropout == (0.25 if steps < 50_000 else 0.0)


def info_of(split):
    return examples.DatasetInfo(1, "id", 4, ("any",), {"train": split})


def test_a_plan_is_the_recipe_with_the_settings_given(monkeypatch):
    split = split_of(200, 8_000)
    monkeypatch.setattr(examples, "read_info", lambda _: info_of(split))
    changed = ({"num_time_units": 7}, {"max_steps": 45})
    planned = benchmark.plan(("jsb", "poph2"), "poph2", "data", *changed)
    model, training = planned.model, planned.training
    assert (model.num_time_units, model.num_pitch_units) == (7, 64)
    assert (model.min_pitch, model.num_pitches) == (21, 88)
    assert not (model.replay or model.volume or model.bar_positions)
    assert model.time_attention_steps == training.window_steps == 192
    assert (training.max_steps, training.batch_size) == (45, 10)
    # Twenty validations; a tenth of the steps to warm up.
    assert (training.validate_every, training.warmup_steps) == (2, 4)
    assert model.dropout == 0.4  # 0.56 - 0.18 x 0.9 = 0.398, to the next twentieth


def test_poph3_without_tracks_is_the_network_of_poph2(monkeypatch):
    split = split_of(200, 8_000)
    monkeypatch.setattr(examples, "read_info", lambda _: info_of(split))
    plans = [
        benchmark.plan(("jsb", name), name, "data", {}, {})
        for name in ("poph2", "poph3")
    ]
    # Without tracks there are no voices to lead, and attention along pitch pays off.
    assert plans[1].model.attends_along_pitch_first
    names = {
        "preset": "poph2",
        "pitch_attention": "before_time",
        "voice_leading": False,
    }
    renamed = dataclasses.replace(plans[1].model, **names)
    assert renamed == plans[0].model
    assert plans[1].training == plans[0].training


def test_voices_are_trained_and_scored_with_voices_given(tmp_path):
    rng = np.random.default_rng(0)
    pitches = {
        name: [rng.integers(60, 64, (n, 4)).astype(np.uint8) for n in (20, 9)]
        for name in examples.SPLITS
    }
    folder = tmp_path / "records"
    piano_rolls.write_voices(pitches, "jsb16", folder)
    sizes = ("num_time_units", "num_track_units", "look_ahead_units", "window_width")
    tiny = {k: small.SIZES[k] for k in sizes} | {"num_time_layers": 1}
    steps = {"max_steps": 2, "validate_every": 2, "warmup_steps": 0}
    planned = benchmark.plan(("jsb16", "poph3"), "poph3", folder, tiny, steps)
    assert [track.name for track in planned.model.tracks][::3] == ["soprano", "bass"]
    done = benchmark.run_seed(planned, Runner(tmp_path, 1, print))
    # Softmaxes over 46 pitches and rest, nearly untrained: 4 log 47 = 15.4 nats.
    assert -20 < done["test"] < -12
    # Sums over four voices, three and two.
    three, two = done["test_given_soprano"], done["test_given_soprano_bass"]
    assert done["test"] < three - 2 < two - 4 < -4


@pytest.fixture(scope="module")
def data_dir(rolls, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rolls") / "records"
    piano_rolls.write_records(rolls, "rolls", folder)
    return folder


def test_records_hold_the_rolls(rolls, data_dir):
    for name, pieces in rolls.items():
        _, paths = dataset.open_split(data_dir, name)
        read = [piece.matrices.cells for piece in dataset.read_pieces(paths)]
        for cells, roll in zip(read, pieces, strict=True):
            np.testing.assert_array_equal(cells[:, 21:109, 0], roll)
            assert not cells[:, :21].any() and not cells[:, 109:].any()
    figures = benchmark.sizes(data_dir)["splits"]
    assert figures["test"] == {"pieces": 3, "steps": 220}


def test_records_of_other_rolls_are_not_taken_for_these(rolls, tmp_path):
    folder = tmp_path / "new" / "records"
    first = piano_rolls.write_records(rolls, "rolls", str(folder))
    assert piano_rolls.write_records(rolls, "rolls", str(folder)) == first
    assert os.listdir(folder.parent) == ["records"]
    other = rolls | {"test": rolls["test"][:2]}
    with pytest.raises(InputError, match="records was made from other pieces"):
        piano_rolls.write_records(other, "rolls", str(folder))
    # As a killed process of an earlier version left it.
    (folder / examples.INFO_NAME).unlink()
    with pytest.raises(InputError, match="records must be free for records or hold"):
        piano_rolls.write_records(rolls, "rolls", str(folder))


def test_the_marginal_is_that_of_the_rolls(rolls, data_dir):
    train, test = (np.concatenate(rolls[name]) for name in ("train", "test"))
    share = (train.sum(axis=0) + 1) / (len(train) + 2)
    log = np.where(test == 1, np.log(share), np.log(1 - share))
    expected = log.sum(axis=1).mean()
    assert benchmark.marginal(data_dir) == pytest.approx(expected)


def test_a_seed_is_trained_scored_and_not_trained_again(data_dir, tmp_path):
    tiny = {"num_time_layers": 1, "num_pitch_layers": 1}
    tiny |= {k: small.SIZES[k] for k in ("num_time_units", "num_pitch_units")}
    steps = {"max_steps": 2, "validate_every": 1, "warmup_steps": 0}
    name = ("rolls", "poph2")
    planned = benchmark.plan(name, "poph2", data_dir, tiny, steps).with_seed(3)
    lines = []
    runner = Runner(tmp_path, 2, lines.append)
    chosen = benchmark.run_seed(planned, runner, ("valid",))
    assert "test" not in chosen
    # The test split is scored on request, without training again, and otherwise left
    # out.
    done = benchmark.run_seed(planned, runner)
    assert done == chosen | {"test": done["test"]}
    assert benchmark.run_seed(planned, runner, ("valid",)) == chosen
    assert (done["seed"], done["step"], done["slices"]) == (3, 2, 2)
    assert done["parameters"] > 1000
    best = max(
        -json.loads(line)["valid"]["loss"]
        for line in metrics_of(runner.directory(planned))
    )
    assert done["valid"] == pytest.approx(best, rel=1e-4)
    assert -30 < done["test"] < -10
    assert benchmark.run_seed(planned, runner) == done and len(lines) == 2
    training = dataclasses.replace(planned.training, learning_rate=0.5)
    other = dataclasses.replace(planned, training=training)
    with pytest.raises(
        InputError, match="learning_rate=0.025, not the requested learning_"
    ):
        benchmark.run_seed(other, runner)
    again = benchmark.score(data_dir, runner.directory(planned) / "model.keras")
    assert again["test"] == pytest.approx(done["test"], rel=1e-6)


def metrics_of(folder):
    return (folder / "metrics.jsonl").read_text("utf-8").splitlines()


def test_results_are_combined_and_the_best_chosen_on_valid(tmp_path, data_dir):
    seeds = [
        {"seed": 0, "valid": -5.0, "test": -4.0, "parameters": 1000, "step": 600},
        {"seed": 1, "valid": -4.0, "test": -6.0, "parameters": 1000, "step": 600},
        {"seed": 2, "valid": -6.0, "test": -5.5, "parameters": 1000, "step": 600},
    ]
    run = Run(("jsb", "biaxial"), data_dir, config.ModelConfig(), TRAINING)
    figures = benchmark.combine(run, seeds)
    assert figures["marginal_test"] == benchmark.marginal(data_dir)
    assert figures["data"] == benchmark.sizes(data_dir)
    assert figures["best_by_valid"]["test"] == -6.0
    assert (figures["median_valid"], figures["median_test"]) == (-5.0, -5.5)
    path = tmp_path / "jsb-biaxial.json"
    path.write_text(json.dumps(figures | {"marginal_test": -11.0}), "utf-8")
    row = benchmark.summarize(tmp_path).splitlines()[-1]
    cells = ["jsb", "biaxial", "1,000", "600", "3", "-5.000", "-5.500", "-6.000"]
    assert row == f"| {' | '.join(cells)} | -11.00 |"
    for seed in seeds:
        del seed["test"]
    figures = benchmark.combine(run, seeds)
    path.write_text(json.dumps(figures), "utf-8")
    row = benchmark.summarize(tmp_path).splitlines()[-1]
    assert row == f"| {' | '.join(cells[:6])} | – | – | – |"
