"""Draws frames: one step after another.

The state of the time axis is carried on, so the cost of a step does not grow with the
length of a piece. The state and the previous frame give the hidden features of a frame;
from them `chords.py` draws pitch by pitch, or `tracks.py` track by track.

Random numbers depend on (seed of the piece, step, pitch, track) only, so neither the
other pieces of a batch nor the number of steps matter.

Cells may be clamped; the rest are sampled. If the state has sums of log-probabilities
(see `SUMS`), those of each frame are added; `particles.py` weights particles by them.

Arrays are [batch, step, (track,) pitch, channel] in every function of this module.
"""

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from poph_tf.generation import chords, progressions, randomness, steering, tracks
from poph_tf.generation.controls import Controls
from poph_tf.models.layers import chord_progression
from poph_tf.models.layers.features import side_by_side
from poph_tf.models.pitch_decoder import PitchDecoder
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.theory import UNKNOWN

# After this many silent steps the temperature rises to end the silence (DeepJ's rule).
SILENT_STEPS = 16
# Sums over the steps drawn so far, float32 [batch], updated if a state has them: the
# log-probability of all cells, and of the clamped cells only.
SUMS = ("log_likelihood", "log_weight")

# Nested; every tensor has the batch (or batch * pitch) first.
State = dict[str, Any]


class Sampler:
    """Draws pieces from a model.

    Args:
        model: the model to draw from.
    """

    def __init__(self, model: PolyphonyModel) -> None:
        # A Network, or a TrackNetwork.
        self.network: Any = model.network
        self.config = model.config
        num_tracks = len(self.config.tracks)
        # The shape of a frame without its channels.
        self.grid = (num_tracks,) * (num_tracks > 0) + (self.config.num_pitches,)

    def zero_state(self, batch_size: Any, bar_steps: Any = 16) -> State:
        """The state before the first step of a piece.

        Args:
            batch_size: int or int32 scalar.
            bar_steps: int or int32 [batch]. Steps per bar.
        """
        zeros = tf.zeros((batch_size,), tf.int32)
        given = {"given": tf.zeros((batch_size, self.grid[0]))}
        no_chords = tf.zeros((batch_size, chord_progression.MEMORY), tf.int32)
        return {
            "network": self.network.zero_state(batch_size),
            "frame": tf.zeros((batch_size, *self.grid, 3)),
            "step": zeros,
            "bar_position": zeros,
            "bar_steps": zeros + bar_steps,
            "silent_steps": zeros,
            "density_bias": tf.zeros((batch_size,)),
            **(given if self.config.tracks else {}),
            # 1 + the key: not read here, but kept between requests. 0: undecided.
            **({"key": zeros} if self.config.key else {}),
            # Of the beats, in order; see `chord_progression.entry`.
            **({"chords": no_chords} if self.config.chords else {}),
        }

    def prefill(
        self,
        state: State,
        frames: tf.Tensor,
        bar_position: tf.Tensor,
        style: tf.Tensor,
        bars_left: tf.Tensor | None = None,
        look_ahead: tf.Tensor | None = None,
        key: tf.Tensor | None = None,
    ) -> State:
        """Advances the state over known frames, as if they had been drawn.

        Args:
            state: from `zero_state`, or the state after any step.
            frames: float32 [batch, step, (track,) pitch, channel], at least one step.
            bar_position: int32 [batch, step + 1], of these steps and the next one.
            style: float32 [batch, styles].
            bars_left: int32 [batch, step], in models with tracks; None: unknown.
            look_ahead: float32 [batch, step, features], as in `Controls`.
            key: int32 [batch], in models that read it; None: unknown.

        Returns:
            The state after the last frame.
        """
        previous = tf.concat([state["frame"][:, None], frames[:, :-1]], axis=1)
        past = bar_position[:, :-1]
        inputs = {"previous": previous, "bar_position": past, "style": style}
        # No part of the network's state depends on key and chords.
        inputs |= self.track_inputs(past, bars_left, look_ahead)
        chords = {}
        if self.config.chords:
            left = inputs["bars_left"]
            steps = self._chord_steps(key, past, left, look_ahead)
            play = frames[..., 0]
            found = progressions.read(self.network, state["chords"], play, steps)
            chords["chords"] = found
        _, network = self.network.time_axis(inputs, state["network"])
        return state | {
            "network": network,
            "frame": frames[:, -1],
            "step": state["step"] + tf.shape(frames)[1],
            "bar_position": bar_position[:, -1],
            "silent_steps": _silent_steps(state["silent_steps"], frames),
            **chords,
        }

    def draw_steps(
        self, state: State, num_steps: Any, controls: Controls
    ) -> tuple[tf.Tensor, State]:
        """Draws steps in one loop of the graph.

        Args:
            state: from `zero_state`, `prefill` or an earlier call.
            num_steps: int or int32 scalar, the same for all pieces.
            controls: the controls of all pieces for these steps.

        Returns:
            Cells uint8 [batch, step, (track,) pitch, channel] with volume 0..127, and
            the state after them.
        """
        shape = (None, *self.grid, 3)
        frames = tf.TensorArray(tf.uint8, num_steps, element_shape=shape)

        def draw(index: tf.Tensor, state: State, frames: Any) -> tuple[Any, ...]:
            frame, state = self.draw_step(state, controls.at(index))
            return index + 1, state, frames.write(index, to_cells(frame))

        _, state, frames = tf.while_loop(
            lambda index, *_: index < num_steps,
            draw,
            (tf.constant(0), state, frames),
            # XLA needs a bound of the loop.
            maximum_iterations=num_steps,
        )
        order = (1, 0, *range(2, len(shape) + 1))
        return tf.transpose(frames.stack(), order), state

    def draw_chunk(
        self, state: State, num_steps: int, controls: Controls
    ) -> tuple[tf.Tensor, tf.Tensor, State]:
        """Like `draw_steps`; also returns the row that each row came from: itself."""
        cells, state = self.draw_steps(state, num_steps, controls)
        return cells, tf.range(tf.shape(cells)[0]), state

    def draw_step(self, state: State, controls: Controls) -> tuple[tf.Tensor, State]:
        """Draws one step: its frame and the state after it; see `draw_steps`.

        Args:
            state: the state before the step.
            controls: the controls of the step, see `Controls.at`.
        """
        bar_position = controls.bar_position
        if bar_position is None:
            bar_position = state["bar_position"]
        before, position = state["frame"][:, None], bar_position[:, None]
        inputs = {"previous": before, "bar_position": position, "style": controls.style}
        known = controls.bars_left, controls.look_ahead
        known_here = (None if x is None else x[:, None] for x in known)
        inputs |= self.track_inputs(position, *known_here) | _told(controls)
        given: State = {}
        if self.config.chords:
            left = inputs["bars_left"][:, 0]
            ahead = controls.look_ahead
            steps = self._chord_steps(controls.key, bar_position, left, ahead)
            chords = progressions.draw(self.network, state, controls, steps)
            given["chords"] = chords
            inputs["chord_strength"] = controls.chord_strength
            degree = chord_progression.before_of(chords[:, -1]) - 1
            told = chord_progression.chord_of(degree, steps["key"])
            inputs["chord"] = told[:, None]
        hidden, network = self.network.time_axis(inputs, state["network"])
        too_silent = tf.nn.relu(state["silent_steps"] - SILENT_STEPS + 1)
        added = controls.silence_temperature * tf.cast(too_silent, tf.float32)
        warmer = tracks.warmed(controls, added, self.config.tracks)
        frame, log_probability = self.draw_frame(hidden[0], state, warmer)
        merged = frame
        if self.config.tracks:
            merged = tf.reduce_max(frame, axis=1)
            given["given"] = tracks.given_tracks(frame, controls.constraints)
        silent = tf.reduce_all(merged[..., 0] == 0, axis=-1)
        return frame, state | {
            "network": network,
            "frame": frame,
            "step": state["step"] + 1,
            "bar_position": (bar_position + 1) % state["bar_steps"],
            "silent_steps": tf.where(silent, state["silent_steps"] + 1, 0),
            **given,
            **steering.next_state(controls, state, merged),
            **_next_sums(state, log_probability, controls),
        }

    def track_inputs(
        self, like: tf.Tensor, bars_left: tf.Tensor | None, look_ahead: tf.Tensor | None
    ) -> State:
        """Further inputs of the time axis in a model with tracks.

        Args:
            like: [batch, step].
            bars_left: int32 [batch, step], as in `Controls`.
            look_ahead: float32 [batch, step, features], as in `Controls`.
        """
        config = self.config
        if not config.tracks:
            return {}
        if bars_left is None:
            bars_left = tf.fill(tf.shape(like), UNKNOWN)
        inputs = {"bars_left": bars_left}
        if config.look_ahead_units:
            cells = (config.num_pitches, config.look_ahead_units)
            shape = tf.concat([tf.shape(like), cells], axis=0)
            ahead = tf.zeros(shape)
            if look_ahead is not None:
                ahead = tf.reshape(look_ahead[..., : math.prod(cells)], shape)
            inputs["later"] = tf.transpose(ahead, (1, 0, 2, 3))
        return inputs

    # Look-ahead: the notes given from a step on, read once before the first step.

    def look_ahead(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """A summary of the given notes at or after each step.

        Args:
            inputs: those of the network's `look_ahead`, and `key` int32 [batch] if
                chords are drawn.

        Returns:
            float32 [batch, step, features]: the network's summary at each pitch, then
            that of the chords that lead there.
        """
        ahead = tf.transpose(self.network.look_ahead(inputs), (1, 0, 2, 3))
        flat = side_by_side(ahead)
        if not self.config.chords or "key" not in inputs:
            return flat
        given = tf.cast(inputs["given"], tf.float32)[..., None, None]
        play = tf.cast(inputs["current"][..., :1] > 0, tf.float32)
        steps = (inputs["key"], inputs["bar_position"], inputs["bars_left"])
        cells = tf.concat([tf.broadcast_to(given, tf.shape(play)), play], axis=-1)
        said = progressions.ahead(self.network, cells, *steps)
        return tf.concat([flat, said], axis=-1)

    def zero_look_ahead(self, batch_size: int) -> State:
        """The state of `look_ahead_step` after the last step."""
        state = {"network": self.network.zero_look_ahead(batch_size)}
        if self.config.chords:
            state["chords"] = progressions.zero_ahead(batch_size)
        return state

    def look_ahead_step(
        self,
        state: State,
        cells: tf.Tensor,
        bar_position: tf.Tensor,
        bars_left: tf.Tensor,
        key: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, State]:
        """Computes `look_ahead` step by step, from the last step to the first.

        Args:
            state: the state after the step.
            cells: as for the network's `look_ahead_step`.
            bar_position: int32 [batch, 1].
            bars_left: int32 [batch, 1].
            key: int32 [batch], in models that draw chords.

        Returns:
            float32 [batch, features], and the state for the previous step.
        """
        steps = cells, bar_position, bars_left
        out, network = self.network.look_ahead_step(*steps, state["network"])
        flat = tf.reshape(out, (out.shape[0], -1))
        if not self.config.chords:
            return flat, {"network": network}
        at = bar_position[:, 0], bars_left[:, 0]
        chords = progressions.before(
            self.network, state["chords"], cells[:, 1], key, *at
        )
        after = {"network": network, "chords": chords}
        return tf.concat([flat, state["chords"]], axis=-1), after

    def _chord_steps(
        self,
        key: tf.Tensor | None,
        bar_position: tf.Tensor,
        bars_left: tf.Tensor,
        look_ahead: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        """What `progressions` reads for steps, each [batch] or [batch, step]."""
        shape = tf.shape(bar_position)
        if look_ahead is None:
            shape = tf.concat([shape, [chord_progression.NUM_DEGREES]], axis=0)
            ahead = tf.zeros(shape)
        else:
            ahead = look_ahead[..., -chord_progression.NUM_DEGREES :]
        return {
            "key": tf.fill(shape[:1], UNKNOWN) if key is None else key,
            "bar_position": bar_position,
            "bars_left": bars_left,
            "ahead": ahead,
        }

    def draw_frame(
        self, hidden: tf.Tensor, state: State, controls: Controls
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Draws one frame.

        Args:
            hidden: float [batch, pitch, features], from the time axis.
            state: the state before the step.
            controls: the controls of this step.

        Returns:
            float32 [batch, (track,) pitch, channel], and log-probabilities float32
            [batch, track or pitch] if the state has sums, or None.
        """
        bias = steering.step_bias(controls, state)
        scored = any(name in state for name in SUMS)
        if self.config.tracks:
            drawing = tracks.TrackDrawing(self.network, hidden, state, controls)
            return drawing.draw(bias, scored)
        num_pitches, frame = self.config.num_pitches, state["frame"]
        numbers = randomness.of_step(controls, state["step"], num_pitches)
        embedding = self.network.embed_style(controls.style)
        decoder = PitchDecoder(self.network, hidden, embedding)
        return chords.draw(decoder, frame, numbers, controls, bias, scored)


def _told(controls: Controls) -> dict[str, tf.Tensor | None]:
    """The key and form inputs of the network; unknown ones are left out."""
    inputs = {}
    if controls.returns is not None:
        inputs["returns"] = controls.returns[:, None]
        inputs["form_strength"] = controls.form_strength
    if controls.key is not None:
        inputs["key"] = controls.key[:, None]
        inputs["key_strength"] = controls.key_strength
    return inputs


def _next_sums(
    state: State, log_probability: tf.Tensor | None, controls: Controls
) -> State:
    """The sums of a state after a frame; log_probability: [batch, track or pitch]."""
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
    """Silent steps in a row at the end of `frames`, with `before` of them so far."""
    axes = range(2, len(frames.shape) - 1)
    sounding = tf.reduce_any(frames[..., 0] > 0, axis=list(axes))
    num_steps = tf.shape(frames)[1]
    # The last sounding step, counted from 1; 0 if there is none.
    last = tf.reduce_max(tf.where(sounding, tf.range(num_steps) + 1, 0), axis=1)
    return tf.where(last > 0, num_steps - last, before + num_steps)


def to_cells(frames: tf.Tensor) -> tf.Tensor:
    """Float frames [..., channel] with volume 0..1 as uint8 with volume 0..127."""
    return tf.cast(tf.round(frames * tf.constant([1.0, 1.0, 127.0])), tf.uint8)
