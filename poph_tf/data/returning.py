"""To which earlier bar each bar comes back, in the graph."""

import tensorflow as tf

# A bar comes back to an earlier one if at least this share of their onsets is common
# (Jaccard: common through all).
ALIKE = 0.5
UNKNOWN = -1


def find_returns(play: tf.Tensor, again: tf.Tensor, bars: tf.Tensor) -> tf.Tensor:
    """Finds the earlier bar that each bar is most like; the nearest of several.

    Args:
        play: [1 + step, pitch], above 0 where a pitch sounds; the step before the first
            comes first. Pitches of several tracks stand side by side.
        again: [1 + step, pitch], above 0 where it is struck again.
        bars: int [step], steps since the bar line.

    Returns:
        int32 [step], how many steps back the same place of that bar lies; 0 in bars
        that are like none.
    """
    bars, sounds = tf.cast(bars, tf.int32), play > 0
    struck = sounds[1:] & (~sounds[:-1] | (again[1:] > 0))
    # A window may begin within a bar: its first step has no bar line to count.
    lines = tf.cast(bars[1:] == 0, tf.int32)
    bar = tf.cumsum(tf.pad(lines, [[1, 0]]))
    shape = [bar[-1] + 1, tf.reduce_max(bars) + 1, play.shape[1]]
    onsets = tf.scatter_nd(
        tf.stack([bar, bars], axis=1), tf.cast(struck, tf.float32), shape
    )
    onsets = tf.reshape(onsets, [shape[0], -1])
    common = tf.matmul(onsets, onsets, transpose_b=True)
    counts = tf.linalg.diag_part(common)
    either = counts[:, None] + counts[None] - common
    alike = tf.linalg.band_part(tf.math.divide_no_nan(common, either), -1, 0)
    alike = tf.linalg.set_diag(alike, tf.zeros_like(counts))
    # The last of equals is the nearest.
    nearest = shape[0] - 1 - tf.argmax(alike[:, ::-1], axis=1, output_type=tf.int32)
    returns = tf.reduce_max(alike, axis=1) >= ALIKE
    # Where each bar's line is, or would be before the window's first step.
    starts = tf.math.segment_min(tf.range(tf.size(bars)) - bars, bar)
    steps = starts - tf.gather(starts, nearest)
    return tf.gather(tf.where(returns, steps, 0), bar)
