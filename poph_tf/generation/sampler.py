"""Draws frames: one step after another, and in each step pitch by pitch.

The state of the time axis is carried on, so the cost of a step does not grow with the
length of a piece. For one frame, the state and the frame before give hidden features.
Then, from the first pitch to the last in draw order, play is drawn, then replay given
play (0 if the pitch did not sound before), and volume is set at an onset; a held note
keeps the volume of its onset.

Random numbers come from (seed of the piece, step, pitch), so neither the other pieces
of a batch nor the number of steps matter.

Cells may be clamped; the rest are sampled. If the state has sums of log-probabilities
(see `SUMS`), those of each frame are added; `particles.py` weights particles by them.

Arrays are [batch, step, pitch, channel] at every function of this module; only the
loop over pitches in `draw_frame` is pitch-major inside, in draw order.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from poph_tf.generation import controls as controls_lib
from poph_tf.generation import randomness
from poph_tf.generation.controls import Controls
from poph_tf.models.pitch_decoder import PitchDecoder
from poph_tf.models.polyphony_model import PolyphonyModel

# A silence of this many steps is ended by a rising temperature (DeepJ's rule).
SILENT_STEPS = 16
# Volume of 127 for a model without volumes.
DEFAULT_VOLUME = 80
# A temperature below this draws the likelier value.
MIN_TEMPERATURE = 1e-4
# Sums over the steps drawn so far, float32 [batch], updated if a state has them: the
# log-probability of all cells, and of the clamped ones alone.
SUMS = ("log_likelihood", "log_weight")

Heads = dict[str, tf.Tensor]
# Nested; every tensor has the batch (or batch * pitch) first.
State = dict[str, Any]


class Sampler:
    """Draws pieces from a model.

    Args:
        model: the model to draw from.
    """

    def __init__(self, model: PolyphonyModel) -> None:
        self.network = model.network
        self.config = model.config

    def zero_state(self, batch_size: Any, bar_steps: Any = 16) -> State:
        """The state before the first step of a piece.

        Args:
            batch_size: int or int32 scalar.
            bar_steps: int or int32 [batch]. Steps of a bar.
        """
        zeros = tf.zeros((batch_size,), tf.int32)
        return {
            "network": self.network.zero_state(batch_size),
            "frame": tf.zeros((batch_size, self.config.num_pitches, 3)),
            "step": zeros,
            "bar_position": zeros,
            "bar_steps": zeros + bar_steps,
            "silent_steps": zeros,
            "density_bias": tf.zeros((batch_size,)),
        }

    def prefill(
        self, state: State, frames: tf.Tensor, bar_position: tf.Tensor, style: tf.Tensor
    ) -> State:
        """Advances the state over known frames, as if they had been drawn.

        Args:
            state: from `zero_state`, or after any step.
            frames: float32 [batch, step, pitch, channel], at least one step.
            bar_position: int32 [batch, step + 1], of these steps and the next one.
            style: float32 [batch, styles].

        Returns:
            The state after the last frame.
        """
        previous = tf.concat([state["frame"][:, None], frames[:, :-1]], axis=1)
        past = bar_position[:, :-1]
        inputs = {"previous": previous, "bar_position": past, "style": style}
        _, network = self.network.time_axis(inputs, state["network"])
        return state | {
            "network": network,
            "frame": frames[:, -1],
            "step": state["step"] + tf.shape(frames)[1],
            "bar_position": bar_position[:, -1],
            "silent_steps": _silent_steps(state["silent_steps"], frames),
        }

    def draw_steps(
        self, state: State, num_steps: Any, controls: Controls
    ) -> tuple[tf.Tensor, State]:
        """Draws steps in one loop of the graph.

        Args:
            state: from `zero_state`, `prefill` or an earlier call.
            num_steps: int or int32 scalar, the same for all pieces.
            controls: of all pieces and of these steps.

        Returns:
            Cells uint8 [batch, step, pitch, channel] with volume 0..127, and the state
            after them.
        """
        frames = tf.TensorArray(
            tf.uint8, num_steps, element_shape=(None, self.config.num_pitches, 3)
        )

        def draw(index: tf.Tensor, state: State, frames: Any) -> tuple[Any, ...]:
            frame, state = self._draw_step(state, controls.at(index))
            return index + 1, state, frames.write(index, to_cells(frame))

        _, state, frames = tf.while_loop(
            lambda index, *_: index < num_steps,
            draw,
            (tf.constant(0), state, frames),
            # XLA needs a bound of the loop.
            maximum_iterations=num_steps,
        )
        return tf.transpose(frames.stack(), (1, 0, 2, 3)), state

    def draw_chunk(
        self, state: State, num_steps: int, controls: Controls
    ) -> tuple[tf.Tensor, tf.Tensor, State]:
        """Like `draw_steps`; also gives the row that each row came from, itself."""
        cells, state = self.draw_steps(state, num_steps, controls)
        return cells, tf.range(tf.shape(cells)[0]), state

    def _draw_step(self, state: State, controls: Controls) -> tuple[tf.Tensor, State]:
        bar_position = controls.bar_position
        if bar_position is None:
            bar_position = state["bar_position"]
        before, position = state["frame"][:, None], bar_position[:, None]
        inputs = {"previous": before, "bar_position": position, "style": controls.style}
        hidden, network = self.network.time_axis(inputs, state["network"])
        embedding = self.network.embed_style(controls.style)
        decoder = PitchDecoder(self.network, hidden[0], embedding)
        too_silent = tf.nn.relu(state["silent_steps"] - SILENT_STEPS + 1)
        added = controls.silence_temperature * tf.cast(too_silent, tf.float32)
        warmer = controls._replace(temperature=controls.temperature + added)
        frame, log_probability = self.draw_frame(decoder, state, warmer)
        silent = tf.reduce_all(frame[..., 0] == 0, axis=-1)
        return frame, state | {
            "network": network,
            "frame": frame,
            "step": state["step"] + 1,
            "bar_position": (bar_position + 1) % state["bar_steps"],
            "silent_steps": tf.where(silent, state["silent_steps"] + 1, 0),
            **controls_lib.next_state(controls, state, frame),
            **_next_sums(state, log_probability, controls),
        }

    def draw_frame(
        self, decoder: PitchDecoder, state: State, controls: Controls
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Draws one frame, pitch by pitch.

        Args:
            decoder: of this step.
            state: before the step.
            controls: of this step.

        Returns:
            float32 [batch, pitch, channel], and the `log_probability` of each cell
            float32 [batch, pitch] if the state has sums, or None.
        """
        num_pitches, before = self.config.num_pitches, state["frame"]
        numbers = randomness.uniforms(controls.seed, state["step"], num_pitches)
        known = {"before": before, "numbers": numbers, "clamped": controls.constraints}
        bias = controls_lib.step_bias(controls, state)
        if bias is not None:
            known["bias"] = tf.broadcast_to(bias, tf.shape(before)[:2])
        scored = any(name in state for name in SUMS)
        known = {k: self._pitch_major(x) for k, x in known.items() if x is not None}

        def draw(heads: Heads, index: tf.Tensor) -> tf.Tensor:
            here = {name: value[index] for name, value in known.items()}
            bias = here.pop("bias", None)
            biased = heads if bias is None else heads | {"play": heads["play"] + bias}
            cell = draw_cell(biased, controls=controls, **here)
            if not scored:
                return cell
            score = log_probability(heads, here["before"], cell)
            return tf.concat([cell, score[:, None]], axis=-1)

        cells = self._decode(decoder, draw, width=3 + scored)
        return cells[..., :3], cells[..., 3] if scored else None

    def _decode(
        self, decoder: PitchDecoder, draw: Callable[..., tf.Tensor], width: int
    ) -> tf.Tensor:
        """Calls `draw(heads, index)` pitch by pitch: float [batch, pitch, width]."""
        channels, num_pitches = self.network.channels, self.config.num_pitches

        def step(index: tf.Tensor, drawn: tf.Tensor, state: Any, cells: Any) -> Any:
            heads, state = decoder.step(index, drawn, state)
            cell = draw(heads, index)
            drawn = tf.gather(cell, channels, axis=-1)
            return index + 1, drawn, state, cells.write(index, cell)

        cells = tf.TensorArray(tf.float32, num_pitches, element_shape=(None, width))
        first = tf.zeros((decoder.num_rows, len(channels)))
        *_, cells = tf.while_loop(
            lambda index, *_: index < num_pitches,
            step,
            (tf.constant(0), first, decoder.zero_state(), cells),
            maximum_iterations=num_pitches,
        )
        return self.network.in_draw_order(tf.transpose(cells.stack(), (1, 0, 2)), 1)

    def _pitch_major(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, pitch, ...] -> [pitch, batch, ...], pitches in draw order."""
        order = (1, 0, *range(2, len(x.shape)))
        return tf.transpose(self.network.in_draw_order(x, 1), order)


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
        before: float32 [batch, channel], the cell of this pitch in the step before.
        numbers: float32 [batch, 2] in [0, 1).
        controls: of this step.
        clamped: float32 [batch, 4], see `constraints.py`.
    """
    temperature = tf.maximum(controls.temperature, MIN_TEMPERATURE)
    probability = controls_lib.play_probability(heads["play"], temperature, controls)
    play = tf.cast(numbers[:, 0] < probability, tf.float32)
    again = tf.zeros_like(play)
    if "replay" in heads:
        if controls.replay_temperature is not None:
            temperature = tf.maximum(controls.replay_temperature, MIN_TEMPERATURE)
        probability = tf.sigmoid(heads["replay"] / temperature)
        again = tf.cast(numbers[:, 1] < probability, tf.float32)
    if "volume" in heads:
        onset = tf.clip_by_value(tf.round(heads["volume"] * 127.0), 1.0, 127.0) / 127.0
    else:
        onset = tf.fill(tf.shape(play), DEFAULT_VOLUME / 127.0)
    if clamped is not None:
        play, again, onset = (
            tf.where(clamped[:, 0] > 0, clamped[:, k], drawn)
            for k, drawn in enumerate((play, again, onset), start=1)
        )
    sounded = before[:, 0]
    replay = again * play * sounded
    held = sounded * (1.0 - replay)
    volume = play * tf.where(held > 0, before[:, 2], onset)
    return tf.stack([play, replay, volume], axis=-1)


def log_probability(heads: Heads, before: tf.Tensor, cell: tf.Tensor) -> tf.Tensor:
    """The log-probability of a cell by the model itself, without controls.

    For play t and replay r of the cell, with probabilities y and z by the heads,
    log p = log(y if t else 1 - y) + t * sounded * log(z if r else 1 - z). Replay does
    not count if the pitch did not sound before; volume is not a probability.

    Args:
        heads: float32 [batch] each: `play`, `replay` (logits).
        before: float32 [batch, channel], the cell of this pitch in the step before.
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


def _next_sums(
    state: State, log_probability: tf.Tensor | None, controls: Controls
) -> State:
    """The sums of a state after a frame with log-probability [batch, pitch]."""
    after, clamped = {}, controls.constraints
    if "log_likelihood" in state:
        gained = tf.reduce_sum(log_probability, axis=-1)
        if controls.scored is not None:
            gained *= controls.scored
        after["log_likelihood"] = state["log_likelihood"] + gained
    if "log_weight" in state and clamped is not None:
        gained = tf.reduce_sum(log_probability * clamped[..., 0], axis=-1)
        after["log_weight"] = state["log_weight"] + gained
    return after


def _silent_steps(before: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """Silent steps in a row at the end of `frames`, after `before` of them."""
    sounding = tf.reduce_any(frames[..., 0] > 0, axis=-1)
    num_steps = tf.shape(frames)[1]
    # The last sounding step, counted from 1; 0 if there is none.
    last = tf.reduce_max(tf.where(sounding, tf.range(num_steps) + 1, 0), axis=1)
    return tf.where(last > 0, num_steps - last, before + num_steps)


def to_cells(frames: tf.Tensor) -> tf.Tensor:
    """Float frames [..., channel] with volume 0..1 as uint8 with volume 0..127."""
    return tf.cast(tf.round(frames * tf.constant([1.0, 1.0, 127.0])), tf.uint8)
