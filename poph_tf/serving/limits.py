"""What requests may ask for, checked in the graph.

Each check is an assertion op; it gives INVALID_ARGUMENT with a line that says what is
allowed and, where it is short, what came. The ops stay outside whatever XLA compiles,
which would drop them, and everything else is made to wait for them.
"""

import tensorflow as tf

from poph_tf import config

MAX_TEMPERATURE = 10.0
MIN_TEMPO_QPM, MAX_TEMPO_QPM = 10.0, 1000.0
MAX_BAR_STEPS = 256
# How far the shares of a style may be from adding up to 1: they come as decimals.
STYLE_TOLERANCE = 1e-3
_SHOWN = 8


class Limits(config.Limits):
    """The limits of an export, with their checks in the graph."""

    def check_batch(self, tensors):
        """All tensors have the same batch size, and an allowed one."""
        sizes = tf.stack([tf.shape(tensor)[0] for tensor in tensors])
        return [
            must(sizes == sizes[0], "all inputs must have the same batch size", sizes),
            must(
                (sizes >= 1) & (sizes <= self.max_batch),
                f"the batch must be 1 to {self.max_batch} pieces",
                sizes,
            ),
        ]

    def check_num_steps(self, num_steps):
        return must(
            (num_steps >= 1) & (num_steps <= self.max_steps),
            f"num_steps must be 1 to {self.max_steps}",
            num_steps,
        )

    def check_roll(self, play, replay, volume, bar_position):
        """Matrices that a client sent: values, and one number of steps for all."""
        steps = tf.stack([tf.shape(x)[1] for x in (play, replay, volume, bar_position)])
        same = "play, replay, volume and bar_position must have the same steps"
        return [
            must(steps == steps[0], same, steps),
            must(
                (steps >= 1) & (steps <= self.max_steps),
                f"matrices must have 1 to {self.max_steps} steps",
                steps,
            ),
            must(play <= 1, "play must be 0 or 1"),
            must(replay <= 1, "replay must be 0 or 1"),
            must(volume <= 127, "volume must be 0 to 127"),
            must(bar_position >= 0, "bar_position must be 0 or more"),
        ]


def check_temperature(temperature):
    # NaN fails every comparison, so it is refused too.
    return must(
        (temperature >= 0) & (temperature <= MAX_TEMPERATURE),
        f"temperature must be 0 to {MAX_TEMPERATURE:g}",
        temperature,
    )


def check_tempo(tempo_qpm):
    return must(
        (tempo_qpm >= MIN_TEMPO_QPM) & (tempo_qpm <= MAX_TEMPO_QPM),
        f"tempo_qpm must be {MIN_TEMPO_QPM:g} to {MAX_TEMPO_QPM:g}",
        tempo_qpm,
    )


def check_style(style):
    total = tf.reduce_sum(style, axis=-1, keepdims=True)
    return must(
        (style >= 0) & (tf.abs(total - 1.0) < STYLE_TOLERANCE),
        "style must be shares from 0 to 1 that add up to 1 for each piece",
        style,
    )


def check_bar_steps(bar_steps):
    return must(
        (bar_steps >= 1) & (bar_steps <= MAX_BAR_STEPS),
        f"bar_steps must be 1 to {MAX_BAR_STEPS}",
        bar_steps,
    )


def must(condition, message, came=None):
    """An op that fails with `message` unless the condition holds everywhere."""
    shown = [message] if came is None else [f"{message}, got", came]
    return tf.debugging.Assert(tf.reduce_all(condition), shown, summarize=_SHOWN)
