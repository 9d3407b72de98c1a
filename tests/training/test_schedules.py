"""Learning rates over the steps of a run, worked by hand."""

import pytest

from poph_tf.config import TrainingConfig
from poph_tf.training import optimizers

A_HUNDREDTH = optimizers.FINAL_SHARE


def rates(steps, **settings):
    schedule = optimizers.learning_rate(TrainingConfig(learning_rate=0.1, **settings))
    return [float(schedule(step)) for step in steps]


def test_a_cosine_falls_to_a_hundredth():
    half = (1 + A_HUNDREDTH) / 2
    assert rates([0, 50, 100, 150], schedule="cosine", max_steps=100) == pytest.approx(
        [0.1, 0.1 * half, 0.001, 0.001], rel=1e-4
    )


def test_a_warmup_rises_in_a_line_and_then_the_rate_stays():
    assert rates([0, 5, 10, 99], warmup_steps=10) == pytest.approx([0, 0.05, 0.1, 0.1])


def test_a_cosine_begins_after_the_warmup():
    half = (1 + A_HUNDREDTH) / 2
    found = rates([5, 10, 55, 100], schedule="cosine", warmup_steps=10, max_steps=100)
    assert found == pytest.approx([0.05, 0.1, 0.1 * half, 0.001], rel=1e-4)
