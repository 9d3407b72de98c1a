"""Draws any number of notes in one step, pitch by pitch.

For each pitch in draw order, play is drawn, then replay given play (0 if the pitch did
not sound before), and volume is set at an onset; a held note keeps the volume of its
onset. Inside the loop over pitches, arrays are pitch-major, in draw order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from poph_tf.generation import steering
from poph_tf.generation.controls import Controls
from poph_tf.models.network import Network
from poph_tf.models.pitch_decoder import PitchDecoder

# Volume, of 127, in models without volumes.
DEFAULT_VOLUME = 80
# Lower temperatures are raised to this, which draws the likelier value.
MIN_TEMPERATURE = 1e-4

Heads = dict[str, tf.Tensor]


def draw(
    decoder: PitchDecoder,
    before: tf.Tensor,
    numbers: tf.Tensor,
    controls: Controls,
    bias: tf.Tensor | None,
    scored: bool,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Draws any number of notes, pitch by pitch.

    Args:
        decoder: the decoder of this step.
        before: float32 [batch, pitch, channel], the frame of the previous step.
        numbers: float32 [batch, pitch, 2] in [0, 1).
        controls: the controls of this step.
        bias: float32 [batch, pitch or 1], added to the logits of play.
        scored: whether to compute log-probabilities.

    Returns:
        float32 [batch, pitch, channel], and the `log_probability` of each cell float32
        [batch, pitch] if `scored`, or None.
    """
    known = {"before": before, "numbers": numbers, "clamped": controls.constraints}
    if bias is not None:
        known["bias"] = tf.broadcast_to(bias, tf.shape(before)[:2])
    network = decoder.network
    warm = network.config.chord_temperature * controls.temperature
    controls = controls._replace(temperature=warm)
    known = {k: _pitch_major(network, x) for k, x in known.items() if x is not None}

    def draw(heads: Heads, index: tf.Tensor) -> tf.Tensor:
        here = {name: value[index] for name, value in known.items()}
        bias = here.pop("bias", None)
        biased = heads if bias is None else heads | {"play": heads["play"] + bias}
        cell = draw_cell(biased, controls=controls, **here)
        if not scored:
            return cell
        score = log_probability(heads, here["before"], cell)
        return tf.concat([cell, score[:, None]], axis=-1)

    cells = _decode(decoder, draw, (before.shape[0], 3 + scored))
    return cells[..., :3], cells[..., 3] if scored else None


def _decode(
    decoder: PitchDecoder, draw: Callable[..., tf.Tensor], shape: tuple
) -> tf.Tensor:
    """Calls `draw(heads, index)` pitch by pitch: float [batch, pitch, width]."""
    network, num_pitches = decoder.network, decoder.network.config.num_pitches

    def step(index: tf.Tensor, drawn: tf.Tensor, state: Any, cells: Any) -> Any:
        heads, state = decoder.step(index, drawn, state)
        cell = draw(heads, index)
        drawn = tf.gather(cell, network.channels, axis=-1)
        return index + 1, drawn, state, cells.write(index, cell)

    cells = tf.TensorArray(tf.float32, num_pitches, element_shape=shape)
    first = tf.zeros((decoder.num_rows, len(network.channels)))
    *_, cells = tf.while_loop(
        lambda index, *_: index < num_pitches,
        step,
        (tf.constant(0), first, decoder.zero_state(), cells),
        maximum_iterations=num_pitches,
    )
    return network.in_draw_order(tf.transpose(cells.stack(), (1, 0, 2)), 1)


def _pitch_major(network: Network, x: tf.Tensor) -> tf.Tensor:
    """[batch, pitch, ...] -> [pitch, batch, ...], pitches in draw order."""
    order = (1, 0, *range(2, len(x.shape)))
    return tf.transpose(network.in_draw_order(x, 1), order)


def draw_cell(
    heads: Heads,
    before: tf.Tensor,
    numbers: tf.Tensor,
    controls: Controls,
    clamped: tf.Tensor | None = None,
) -> tf.Tensor:
    """Draws play, replay and volume of one pitch.

    Args:
        heads: float32 [batch] each: `play`, `replay` (logits), `volume`.
        before: float32 [batch, channel], the cell of this pitch in the previous step.
        numbers: float32 [batch, 2] in [0, 1).
        controls: the controls of this step.
        clamped: float32 [batch, 4], see `constraints.py`.
    """
    temperature = tf.maximum(controls.temperature, MIN_TEMPERATURE)
    probability = steering.play_probability(heads["play"], temperature, controls)
    play = tf.cast(numbers[:, 0] < probability, tf.float32)
    again = tf.zeros_like(play)
    if "replay" in heads:
        logits = heads["replay"] / replay_temperature(controls, temperature)
        again = tf.cast(numbers[:, 1] < tf.sigmoid(logits), tf.float32)
    return to_cell((play, again, onset_volume(heads)), before, clamped)


def to_cell(
    drawn: Sequence[tf.Tensor], before: tf.Tensor, clamped: tf.Tensor | None = None
) -> tf.Tensor:
    """Turns what was drawn into canonical cells.

    Args:
        drawn: float32 [...] each: play, 0 or 1; 1 if the note is struck again (counts
            only if it sounded before); the volume of a note that begins here.
        before: float32 [..., channel], the cells of the previous step.
        clamped: float32 [..., 4], see `constraints.py`; None: no cell is clamped.

    Returns:
        float32 [..., channel].
    """
    if clamped is not None:
        given, *values = tf.unstack(clamped, axis=-1)
        pairs = zip(values, drawn, strict=True)
        drawn = [tf.where(given > 0, value, own) for value, own in pairs]
    play, again, onset = drawn
    sounded = before[..., 0]
    replay = again * play * sounded
    held = sounded * (1.0 - replay)
    volume = play * tf.where(held > 0, before[..., 2], onset)
    return tf.stack([play, replay, volume], axis=-1)


def onset_volume(heads: Heads) -> tf.Tensor:
    """The volume of notes that begin, in the shape of the heads; k/127, k >= 1."""
    if "volume" not in heads:
        return tf.fill(tf.shape(heads["play"]), DEFAULT_VOLUME / 127.0)
    return tf.clip_by_value(tf.round(heads["volume"] * 127.0), 1.0, 127.0) / 127.0


def replay_temperature(controls: Controls, unset: tf.Tensor) -> tf.Tensor:
    """The temperature of replay, float32 [batch]; `unset` if none is given."""
    given = controls.replay_temperature
    if given is None:
        return unset
    return tf.where(given > 0, tf.maximum(given, MIN_TEMPERATURE), unset)


def log_probability(heads: Heads, before: tf.Tensor, cell: tf.Tensor) -> tf.Tensor:
    """The log-probability of a cell under the model itself, without controls.

    For play t and replay r of the cell, with the heads' probabilities y and z,
    log p = log(y if t else 1 - y) + t * sounded * log(z if r else 1 - z). Replay does
    not count if the pitch did not sound before; volume is not a probability.

    Args:
        heads: float32 [batch] each: `play`, `replay` (logits).
        before: float32 [batch, channel], the cell of this pitch in the previous step.
        cell: float32 [batch, channel].

    Returns:
        float32 [batch], at most 0.
    """
    play, replay = cell[:, 0], cell[:, 1]
    score = tf.math.log_sigmoid((2.0 * play - 1.0) * heads["play"])
    if "replay" in heads:
        possible = play * before[:, 0]
        score += possible * tf.math.log_sigmoid((2.0 * replay - 1.0) * heads["replay"])
    return score
