"""Several workers: real processes on 127.0.0.1 against one process.

Tolerances: the same sums are added in another order, which changes the seventh
digit of a loss, and Adam propagates it; 1e-4 is far below what a wrong batch, a wrong
divisor or a lost step changes.
"""

import json
import os
import pathlib
import signal
import socket

import forks
import numpy as np
import pytest
import small
import tensorflow as tf
import worker_child

from poph_tf import config
from poph_tf.config import DistributionConfig
from poph_tf.errors import InputError
from poph_tf.training import distribution
from poph_tf.training import trainer as trainer_lib
from poph_tf.training.cluster import Cluster

SETTINGS = {
    "window_steps": 8,
    "batch_size": 4,
    "learning_rate": 0.01,
    "optimizer": "adam",
    "clip_norm": 1.0,
    "ema_decay": 0.5,
    "shuffle_windows": 16,
    "max_steps": 8,
    "validate_every": 2,
}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    # One window each: every further batch length would need its own graph.
    lengths = (5, 6, 7, 8, 8, 8, 8, 8, 8)
    pieces = [small.random_piece(k, n) for k, n in enumerate(lengths)]
    splits = {"train": pieces, "valid": [small.random_piece(9, 20)]}
    return small.write_data_set(tmp_path_factory.mktemp("data") / "set", splits)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_workers(signals=(0, 0), **arguments):
    """Runs two workers; the second sends itself signal b after step a, given (a, b).

    Returns:
        list of (exit code, list of dicts that it sent) of each worker.
    """
    hosts = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    own = [{}, {"signal_at": signals[0], "signal_number": signals[1]}]
    workers = [
        forks.Fork(worker_child.work, hosts=hosts, index=k, **own[k], **arguments)
        for k in range(2)
    ]
    return [worker.finish() for worker in workers]


def run_alone(data_dir, model_dir):
    """Trains in this process; returns (losses by step, figures by step, weights)."""
    losses = {}
    trainer = trainer_lib.Trainer(
        small.without_dropout(
            small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1)
        ),
        config.TrainingConfig(**SETTINGS),
        data_dir,
        str(model_dir),
        tf.distribute.get_strategy(),
    )
    trainer.run(
        report=lambda line: None,
        on_step=lambda step, sums: losses.update({step: sums["loss"]}),
    )
    averages = np.concatenate([v.numpy().ravel() for v in trainer.state.averages])
    weights = np.concatenate([w.ravel() for w in trainer.model.get_weights()])
    return losses, figures_of(model_dir), np.concatenate([weights, averages])


def figures_of(model_dir):
    text = (pathlib.Path(model_dir) / "metrics.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert len({line["step"] for line in lines}) == len(lines)
    return {line["step"]: line["valid"]["loss"] for line in lines}


def losses_of(lines):
    return {line["step"]: line["loss"] for line in lines if "step" in line}


def test_two_workers_train_as_one_process_through_a_kill_and_a_sigterm(
    data_dir, tmp_path
):
    losses, figures, weights = run_alone(data_dir, tmp_path / "one")
    two = tmp_path / "two"
    arguments = {"data_dir": data_dir, "model_dir": str(two), "settings": SETTINGS}

    # The second worker dies after step 3; the first notices and asks to be restarted.
    first, second = run_workers(signals=(3, signal.SIGKILL), **arguments)
    assert second[0] == -signal.SIGKILL and max(losses_of(second[1])) == 3
    assert first[0] == 75 and "Lost another worker" in first[1][-1]["interrupted"]
    seen = losses_of(first[1])
    # It may have the sums of the step in which it lost the other worker.
    assert {1, 2} <= set(seen) <= {1, 2, 3, 4}

    # Both continue from step 2. SIGTERM to one stops both after the same step.
    first, second = run_workers(signals=(5, signal.SIGTERM), **arguments)
    assert first[0] == second[0] == 75, (first, second)
    assert losses_of(first[1]) == pytest.approx(losses_of(second[1]), rel=1e-6)
    assert list(losses_of(first[1])) == [3, 4, 5]
    seen |= losses_of(first[1])

    # One process alone continues the run of two.
    rest, figures_of_two, weights_of_two = run_alone(data_dir, two)
    assert list(rest) == [6, 7, 8]
    for step, loss in (seen | rest).items():
        np.testing.assert_allclose(loss, losses[step], **TOLERANCE)
    assert list(figures_of_two) == list(figures) == [2, 4, 6, 8]
    np.testing.assert_allclose(
        list(figures_of_two.values()), list(figures.values()), **TOLERANCE
    )
    np.testing.assert_allclose(weights_of_two, weights, **TOLERANCE)
    # Only the chief wrote files.
    assert {p.name for p in two.iterdir()} == {
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "model.keras",
        "tensorboard",
    }


def test_one_process_is_the_chief_and_agrees_with_itself():
    cluster = Cluster(tf.distribute.get_strategy())
    assert (cluster.num_workers, cluster.index, cluster.chief) == (1, 0, True)
    assert cluster.any([True, False]) == [True, False]
    assert cluster.add({"a": 2.0}) == {"a": 2.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"worker_hosts": ["a:1", "b:1"], "worker_index": 2}, "worker_index .* 0 to 1"),
        ({"worker_hosts": ["a", "b"]}, "needs --worker_hosts=a:2222,b:2222"),
        ({"worker_hosts": ["a:x", "b:1"]}, "needs --worker_hosts=a:2222,b:2222"),
        ({"worker_hosts": ["a:1", "a:1"]}, "each host:port once"),
        ({"worker_index": 1}, "worker_index needs worker_hosts, got 1"),
        ({}, "needs --worker_hosts"),
    ],
)
def test_workers_without_a_whole_cluster_name_what_is_missing(
    settings, message, monkeypatch
):
    monkeypatch.setattr(os, "environ", {})
    with pytest.raises(InputError, match=message):
        workers = DistributionConfig(strategy="multi_worker_mirrored", **settings)
        distribution.make(workers)


def test_worker_hosts_need_the_strategy_of_several_workers():
    with pytest.raises(InputError, match="worker_hosts needs strategy=multi_worker"):
        DistributionConfig(strategy="mirrored", worker_hosts=["a:1"])


def test_a_cluster_of_a_chief_and_workers_is_accepted():
    text = json.dumps(
        {
            "cluster": {"chief": ["a:1"], "worker": ["b:1", "c:65535"]},
            "task": {"type": "worker", "index": 1},
        }
    )
    assert distribution._is_cluster(text)
    assert not distribution._is_cluster(text.replace("65535", "65536"))
    assert not distribution._is_cluster(text.replace('"index": 1', '"index": 2'))
