"""Draws frames: one step after another, and in each step pitch by pitch.

The state of the time axis is carried on, so the cost of a step does not grow with the
length of a piece. One frame: the state and frame t - 1 give hidden features; then,
from the first pitch to the last in draw order, play is drawn, replay given play (0
where the pitch did not sound before), and volume taken at an onset; a held note keeps
its onset's volume.

Random numbers come from (seed of the piece, absolute step, pitch): neither the other
pieces of a batch nor the number of steps enter.
"""

import tensorflow as tf

from poph_tf import randomness, steering
from poph_tf.network import PitchWalk

# DeepJ's rule: a piece that falls silent for this long is woken up by temperature.
SILENT_STEPS = 16
SILENT_WARMTH = 0.1  # added to the temperature of each step from then on
# What a model without volumes plays with, of 127.
DEFAULT_VOLUME = 80
# A temperature below this draws the likelier value.
COLDEST = 1e-4


class Sampler:
    """Draws pieces from a model.

    Args:
        model: PolyphonyModel.
    """

    def __init__(self, model):
        self.network = model.network
        self.config = model.config

    def zero_state(self, batch_size, bar_steps=16):
        """The state before the first step of a piece.

        Args:
            batch_size: int or int32 scalar.
            bar_steps: int or int32 [batch]. Steps of a bar.

        Returns:
            dict, nested; every tensor in it has the batch (or batch * pitch) first.
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

    def prime(self, state, frames, bar_position, style):
        """Lets the state hear given frames, as if they had been drawn.

        Args:
            state: dict, from `zero_state` or any step after it.
            frames: float32 [batch, time, pitch, 3], at least one step.
            bar_position: int32 [batch, time + 1], of these steps and of the next.
            style: float32 [batch, styles].

        Returns:
            dict, the state after the last of them.
        """
        previous = tf.concat([state["frame"][:, None], frames[:, :-1]], axis=1)
        inputs = {
            "previous": previous,
            "bar_position": bar_position[:, :-1],
            "style": style,
        }
        _, network = self.network.time_axis(inputs, state["network"])
        return state | {
            "network": network,
            "frame": frames[:, -1],
            "step": state["step"] + tf.shape(frames)[1],
            "bar_position": bar_position[:, -1],
            "silent_steps": _silent_steps(state["silent_steps"], frames),
        }

    def draw_steps(self, state, num_steps, controls):
        """Draws steps in one loop of the graph.

        Args:
            state: dict, from `zero_state`, `prime` or an earlier call.
            num_steps: int or int32 scalar, the same for all pieces.
            controls: dict with `seed` int32 [batch, 2], `temperature` float32 [batch]
                and `style` float32 [batch, styles], or [batch, num_steps, styles]
                where it changes along the way; and any of those in steering.py.

        Returns:
            (uint8 [batch, time, pitch, 3] with volume 0..127, state after them).
        """
        frames = tf.TensorArray(
            tf.uint8, num_steps, element_shape=(None, self.config.num_pitches, 3)
        )

        def draw(index, state, frames):
            frame, state = self._draw_step(state, self._at(index, controls))
            return index + 1, state, frames.write(index, to_cells(frame))

        _, state, frames = tf.while_loop(
            lambda index, *_: index < num_steps,
            draw,
            (tf.constant(0), state, frames),
            # Inside XLA the bound of the loop has to be known.
            maximum_iterations=num_steps,
        )
        return tf.transpose(frames.stack(), (1, 0, 2, 3)), state

    @staticmethod
    def _at(index, controls):
        """The controls of one step: the style may have a place for each."""
        style = controls["style"]
        if len(style.shape) == 3:
            return controls | {"style": style[:, index]}
        return controls

    def _draw_step(self, state, controls):
        inputs = {
            "previous": state["frame"][:, None],
            "bar_position": state["bar_position"][:, None],
            "style": controls["style"],
        }
        hidden, network = self.network.time_axis(inputs, state["network"])
        embedding = self.network.embed_style(controls["style"])
        walk = PitchWalk(self.network, hidden[0], embedding)
        numbers = randomness.uniforms(
            controls["seed"], state["step"], self.config.num_pitches
        )
        warmth = SILENT_WARMTH * tf.cast(
            tf.nn.relu(state["silent_steps"] - SILENT_STEPS + 1), tf.float32
        )
        frame = self.draw_frame(
            walk,
            state["frame"],
            numbers,
            controls | {"temperature": controls["temperature"] + warmth},
            steering.step_bias(controls, state["density_bias"]),
        )
        silent = tf.reduce_all(frame[..., 0] == 0, axis=-1)
        return frame, state | {
            "network": network,
            "frame": frame,
            "step": state["step"] + 1,
            "bar_position": (state["bar_position"] + 1) % state["bar_steps"],
            "silent_steps": tf.where(silent, state["silent_steps"] + 1, 0),
            "density_bias": steering.next_density_bias(
                controls, state["density_bias"], frame
            ),
        }

    def draw_frame(self, walk, before, numbers, controls, bias=None):
        """Draws one frame, pitch by pitch.

        Args:
            walk: PitchWalk of this step.
            before: float32 [batch, pitch, 3], the frame of the step before.
            numbers: float32 [batch, pitch, 2] in [0, 1).
            controls: dict with `temperature` float32 [batch], and those in steering.py.
            bias: float32 [batch, pitch or 1], added to the play logits, or None.

        Returns:
            float32 [batch, pitch, 3].
        """
        lay = (1, 0, 2)
        before = tf.transpose(self.network.in_draw_order(before, 1), lay)
        numbers = tf.transpose(self.network.in_draw_order(numbers, 1), lay)
        num_pitches = self.config.num_pitches
        if bias is not None:
            bias = tf.broadcast_to(bias, (tf.shape(before)[1], num_pitches))
            bias = tf.transpose(self.network.in_draw_order(bias, 1))
        cells = tf.TensorArray(tf.float32, num_pitches, element_shape=(None, 3))

        def draw(index, chosen, state, cells):
            heads, state = walk.step(index, chosen, state)
            if bias is not None:
                heads = heads | {"play": heads["play"] + bias[index]}
            cell = draw_cell(heads, before[index], numbers[index], controls)
            chosen = tf.gather(cell, self.network.channels, axis=-1)
            return index + 1, chosen, state, cells.write(index, cell)

        first = tf.zeros((tf.shape(before)[1], len(self.network.channels)))
        *_, cells = tf.while_loop(
            lambda index, *_: index < num_pitches,
            draw,
            (tf.constant(0), first, walk.zero_state(), cells),
            maximum_iterations=num_pitches,
        )
        return self.network.in_draw_order(tf.transpose(cells.stack(), lay), 1)


def draw_cell(heads, before, numbers, controls):
    """Draws play, replay and volume of one pitch.

    Args:
        heads: dict of float32 [batch]: `play`, `replay` (logits), `volume`.
        before: float32 [batch, 3], the cell of this pitch in the step before.
        numbers: float32 [batch, 2] in [0, 1).
        controls: dict with `temperature` float32 [batch], and those in steering.py.

    Returns:
        float32 [batch, 3].
    """
    temperature = tf.maximum(controls["temperature"], COLDEST)
    probability = steering.play_probability(heads["play"], temperature, controls)
    play = tf.cast(numbers[:, 0] < probability, tf.float32)
    sounded = before[:, 0]
    replay = tf.zeros_like(play)
    if "replay" in heads:
        warmth = tf.maximum(controls.get("replay_temperature", temperature), COLDEST)
        probability = tf.sigmoid(heads["replay"] / warmth)
        replay = tf.cast(numbers[:, 1] < probability, tf.float32) * play * sounded
    if "volume" in heads:
        struck = tf.clip_by_value(tf.round(heads["volume"] * 127.0), 1.0, 127.0) / 127.0
    else:
        struck = tf.fill(tf.shape(play), DEFAULT_VOLUME / 127.0)
    held = sounded * (1.0 - replay)
    volume = play * tf.where(held > 0, before[:, 2], struck)
    return tf.stack([play, replay, volume], axis=-1)


def _silent_steps(before, frames):
    """Silent steps in a row up to the end of `frames`, after `before` of them."""
    sounding = tf.reduce_any(frames[..., 0] > 0, axis=-1)
    num_steps = tf.shape(frames)[1]
    # Place of the last sounding step, counted from 1; 0 where there is none.
    last = tf.reduce_max(tf.where(sounding, tf.range(num_steps) + 1, 0), axis=1)
    return tf.where(last > 0, num_steps - last, before + num_steps)


def to_cells(frames):
    """float frames [..., 3] with volume 0..1 -> uint8 cells with volume 0..127."""
    return tf.cast(tf.round(frames * tf.constant([1.0, 1.0, 127.0])), tf.uint8)
