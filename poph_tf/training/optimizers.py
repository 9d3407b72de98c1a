"""Optimizers and learning-rate schedules by name, from Keras."""

import keras

# Where a cosine schedule ends, as a share of the rate it starts from.
FINAL_SHARE = 0.01
# The rate times this is the share that Muon's matrices lose in a step. On JSB Chorales
# (poph2, best validation, single runs that differed a little in rate and steps too)
# 0.25 gave 4.45 nats, 0.05 gave 4.49; 1.0 held the LSTMs back.
MUON_DECAY = 0.25


def make(training):
    """Makes the optimizer of a `TrainingConfig`.

    Gradients are clipped by the training step, after they are added up over replicas;
    Keras would clip them before.
    """
    rate = learning_rate(training)
    makers = {
        "adam": lambda: keras.optimizers.Adam(rate),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=0.01),
        "muon": lambda: _muon(rate),
        "nadam": lambda: keras.optimizers.Nadam(rate),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, momentum=0.9),
        "sgd": lambda: keras.optimizers.SGD(rate),
    }
    return makers[training.optimizer]()


def _muon(rate):
    """Muon for the matrices inside, Adam for all else.

    All else are biases and tables of biases, the heads, the style embedding, and the
    octave convolution.

    Its updates turn a matrix by about the same angle in every direction, those of
    little gradient included, so all of them grow: without decay, at a high rate kept
    for long (0.02 for 400 steps), LSTMs became unstable. Let the rate fall. Keras
    scales the updates by 0.2, so that they are about as large as Adam's are late in
    training; what Adam is given here is scaled alike.
    """
    return keras.optimizers.Muon(
        rate,
        weight_decay=MUON_DECAY,
        adam_weight_decay=None,
        exclude_layers=["heads", "distance_bias"],
        adam_lr_ratio=0.2,
    )


def learning_rate(training):
    """The rate as a number, or a Keras schedule over optimizer steps."""
    rate, warmup = training.learning_rate, training.warmup_steps
    schedules = keras.optimizers.schedules
    if training.schedule == "cosine":
        decay_steps = max(training.max_steps - warmup, 1)
        if not warmup:
            return schedules.CosineDecay(rate, decay_steps, alpha=FINAL_SHARE)
        return schedules.CosineDecay(
            0.0,
            decay_steps,
            alpha=FINAL_SHARE,
            warmup_target=rate,
            warmup_steps=warmup,
        )
    if warmup:
        return schedules.PolynomialDecay(0.0, warmup, end_learning_rate=rate)
    return rate
