"""Optimizers and learning-rate schedules by name, from Keras.

Muon optimizes the inner matrices, Adam the rest: biases and tables of biases, the
heads, the style embedding, and the octave convolution. Muon's updates turn a matrix by
about the same angle in every direction, including those with a small gradient, so all
of them grow: without decay, at a high rate kept for long (0.02 for 400 steps), LSTMs
became unstable. Let the rate fall. Keras scales Muon's updates by 0.2, so that they are
about as large as Adam's are late in training; Adam's rate is scaled by the same factor.

Reference: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon/
"""

from typing import Any

import keras

from poph_tf.config import TrainingConfig

# The rate at which a cosine schedule ends, as a share of the rate at which it starts.
FINAL_SHARE = 0.01
# Weight decay of Muon's matrices, times the rate in each step. On JSB Chorales (poph2,
# best validation, single runs that also differed a little in rate and steps) 0.25 gave
# 4.45 nats, 0.05 gave 4.49; 1.0 held the LSTMs back.
MUON_DECAY = 0.25


def make(training: TrainingConfig) -> keras.optimizers.Optimizer:
    """Makes the optimizer of a `TrainingConfig`.

    The training step clips gradients after adding them over replicas; Keras would clip
    them before.
    """
    rate = learning_rate(training)
    makers = {
        "adam": lambda: keras.optimizers.Adam(rate),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=0.01),
        "muon": lambda: keras.optimizers.Muon(
            rate,
            weight_decay=MUON_DECAY,
            adam_weight_decay=None,
            exclude_layers=["heads", "distance_bias", "scale_degrees"],
            adam_lr_ratio=0.2,
        ),
        "nadam": lambda: keras.optimizers.Nadam(rate),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, momentum=0.9),
        "sgd": lambda: keras.optimizers.SGD(rate),
    }
    return makers[training.optimizer]()


def learning_rate(training: TrainingConfig) -> Any:
    """The rate as a float, or a Keras schedule over optimizer steps.

    Example:
        >>> learning_rate(TrainingConfig(learning_rate=0.01))
        0.01
    """
    rate, warmup = training.learning_rate, training.warmup_steps
    schedules = keras.optimizers.schedules
    if training.schedule == "cosine":
        steps = max(training.max_steps - warmup, 1)
        return schedules.CosineDecay(
            0.0 if warmup else rate,
            steps,
            alpha=FINAL_SHARE,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if warmup:
        return schedules.PolynomialDecay(0.0, warmup, end_learning_rate=rate)
    return rate
