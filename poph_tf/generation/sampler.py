"""Draws frames: one step after another, and in each step pitch by pitch.

The state of the time axis is carried on, so the cost of a step does not grow with the
length of a piece. One frame: the state and frame t - 1 give hidden features; then,
from the first pitch to the last in draw order, play is drawn, replay given play (0
where the pitch did not sound before), and volume taken at an onset; a held note keeps
its onset's volume.

Random numbers come from (seed of the piece, absolute step, pitch): neither the other
pieces of a batch nor the number of steps enter.

Cells can be given: they are what they are, and the rest is drawn around them. A state
that has sums of log-probabilities in it (see `SUMS`) gets those of each frame added;
`generation/particles.py` weighs drafts by them.
"""

import tensorflow as tf

from poph_tf.generation import controls as controls_lib
from poph_tf.generation import randomness
from poph_tf.models.network import PitchDecoder

# DeepJ's rule: a piece that falls silent for this long is woken up by temperature.
SILENT_STEPS = 16
SILENT_WARMTH = 0.1  # added to the temperature of each step from then on
# What a model without volumes plays with, of 127.
DEFAULT_VOLUME = 80
# A temperature below this draws the likelier value.
COLDEST = 1e-4
# Controls that have a value for each step, [batch, time, ...]; style may have.
BY_STEP = ("given", "bar_position", "counted")
# Sums over the steps drawn so far, float32 [batch], kept up where a state has them:
# the log-probability of all cells, and of the given ones alone.
SUMS = ("log_likelihood", "log_weight")


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
                where it changes along the way; any of those in steering; and, if
                wanted, `bar_position` int32 [batch, num_steps] in place of counting
                on, `counted` float32 [batch, num_steps], 0 where a step has no part in
                the log-likelihood, and `given` float32 [batch, num_steps, pitch, 4]:
                whether a cell is given, and then play, whether it is struck, and
                volume 0..1.

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
        """The controls of one step."""
        by_step = [name for name in BY_STEP if name in controls]
        by_step += ["style"] * (len(controls["style"].shape) == 3)
        return controls | {name: controls[name][:, index] for name in by_step}

    def _draw_step(self, state, controls):
        bar_position = controls.get("bar_position", state["bar_position"])
        inputs = {
            "previous": state["frame"][:, None],
            "bar_position": bar_position[:, None],
            "style": controls["style"],
        }
        hidden, network = self.network.time_axis(inputs, state["network"])
        embedding = self.network.embed_style(controls["style"])
        walk = PitchDecoder(self.network, hidden[0], embedding)
        numbers = randomness.uniforms(
            controls["seed"], state["step"], self.config.num_pitches
        )
        warmth = controls.get("silence_temperature", SILENT_WARMTH) * tf.cast(
            tf.nn.relu(state["silent_steps"] - SILENT_STEPS + 1), tf.float32
        )
        frame, log_probability = self.draw_frame(
            walk,
            state["frame"],
            numbers,
            controls | {"temperature": controls["temperature"] + warmth},
            controls_lib.step_bias(controls, state),
            scored=any(name in state for name in SUMS),
        )
        silent = tf.reduce_all(frame[..., 0] == 0, axis=-1)
        return frame, state | {
            "network": network,
            "frame": frame,
            "step": state["step"] + 1,
            "bar_position": (bar_position + 1) % state["bar_steps"],
            "silent_steps": tf.where(silent, state["silent_steps"] + 1, 0),
            **controls_lib.next_state(controls, state, frame),
            **_sums(state, log_probability, controls),
        }

    def draw_frame(self, walk, before, numbers, controls, bias=None, scored=False):
        """Draws one frame, pitch by pitch.

        Args:
            walk: PitchDecoder of this step.
            before: float32 [batch, pitch, 3], the frame of the step before.
            numbers: float32 [batch, pitch, 2] in [0, 1).
            controls: dict with `temperature` float32 [batch], and those in steering;
                `given` float32 [batch, pitch, 4] where cells are given.
            bias: float32 [batch, pitch or 1], added to the play logits, or None.
            scored: bool. Whether log-probabilities are wanted.

        Returns:
            (float32 [batch, pitch, 3], the model's own log-probability of each cell
            given those before it, float32 [batch, pitch], or None).
        """
        before, numbers = self._by_pitch(before), self._by_pitch(numbers)
        num_pitches = self.config.num_pitches
        given = controls.get("given")
        if given is not None:
            given = self._by_pitch(given)
        if bias is not None:
            bias = tf.broadcast_to(bias, (tf.shape(before)[1], num_pitches))
            bias = self._by_pitch(bias)
        # Play, replay, volume, and the log-probability where it is wanted.
        width = 3 + scored
        cells = tf.TensorArray(tf.float32, num_pitches, element_shape=(None, width))

        def draw(index, chosen, state, cells):
            heads, state = walk.step(index, chosen, state)
            steered = heads
            if bias is not None:
                steered = heads | {"play": heads["play"] + bias[index]}
            here = None if given is None else given[index]
            cell = draw_cell(steered, before[index], numbers[index], controls, here)
            chosen = tf.gather(cell, self.network.channels, axis=-1)
            if scored:
                score = log_probability(heads, before[index], cell)
                cell = tf.concat([cell, score[:, None]], axis=-1)
            return index + 1, chosen, state, cells.write(index, cell)

        first = tf.zeros((tf.shape(before)[1], len(self.network.channels)))
        *_, cells = tf.while_loop(
            lambda index, *_: index < num_pitches,
            draw,
            (tf.constant(0), first, walk.zero_state(), cells),
            maximum_iterations=num_pitches,
        )
        cells = self.network.in_draw_order(tf.transpose(cells.stack(), (1, 0, 2)), 1)
        return cells[..., :3], cells[..., 3] if scored else None

    def _by_pitch(self, x):
        """[batch, pitch, ...] -> [pitch, batch, ...], pitches in draw order."""
        order = (1, 0, *range(2, len(x.shape)))
        return tf.transpose(self.network.in_draw_order(x, 1), order)


def draw_cell(heads, before, numbers, controls, given=None):
    """Draws play, replay and volume of one pitch.

    Args:
        heads: dict of float32 [batch]: `play`, `replay` (logits), `volume`.
        before: float32 [batch, 3], the cell of this pitch in the step before.
        numbers: float32 [batch, 2] in [0, 1).
        controls: dict with `temperature` float32 [batch], and those in steering.
        given: float32 [batch, 4]: 1 where the cell is given, and then its play,
            whether it is struck, and its volume; None where nothing is.

    Returns:
        float32 [batch, 3].
    """
    temperature = tf.maximum(controls["temperature"], COLDEST)
    probability = controls_lib.play_probability(heads["play"], temperature, controls)
    play = tf.cast(numbers[:, 0] < probability, tf.float32)
    again = tf.zeros_like(play)
    if "replay" in heads:
        warmth = tf.maximum(controls.get("replay_temperature", temperature), COLDEST)
        probability = tf.sigmoid(heads["replay"] / warmth)
        again = tf.cast(numbers[:, 1] < probability, tf.float32)
    if "volume" in heads:
        struck = tf.clip_by_value(tf.round(heads["volume"] * 127.0), 1.0, 127.0) / 127.0
    else:
        struck = tf.fill(tf.shape(play), DEFAULT_VOLUME / 127.0)
    if given is not None:
        play, again, struck = (
            tf.where(given[:, 0] > 0, given[:, k], drawn)
            for k, drawn in enumerate((play, again, struck), start=1)
        )
    sounded = before[:, 0]
    replay = again * play * sounded
    held = sounded * (1.0 - replay)
    volume = play * tf.where(held > 0, before[:, 2], struck)
    return tf.stack([play, replay, volume], axis=-1)


def log_probability(heads, before, cell):
    """What the model itself, at temperature 1 and unsteered, gives a cell.

    With t play and r replay of the cell, y and z their probabilities by the heads:
    log p = log(y if t else 1 - y) + t * sounded * log(z if r else 1 - z); replay has
    no say where the pitch did not sound before, and volume is no probability.

    Args:
        heads: dict of float32 [batch]: `play`, `replay` (logits).
        before: float32 [batch, 3], the cell of this pitch in the step before.
        cell: float32 [batch, 3].

    Returns:
        float32 [batch], at most 0.
    """
    play, replay = cell[:, 0], cell[:, 1]
    score = tf.math.log_sigmoid((2.0 * play - 1.0) * heads["play"])
    if "replay" in heads:
        possible = play * before[:, 0]
        score += possible * tf.math.log_sigmoid((2.0 * replay - 1.0) * heads["replay"])
    return score


def _sums(state, log_probability, controls):
    """The sums that a state keeps, with a frame's [batch, pitch] added."""
    after, given = {}, controls.get("given")
    if "log_likelihood" in state:
        gained = tf.reduce_sum(log_probability, axis=-1) * controls.get("counted", 1.0)
        after["log_likelihood"] = state["log_likelihood"] + gained
    if "log_weight" in state and given is not None:
        gained = tf.reduce_sum(log_probability * given[..., 0], axis=-1)
        after["log_weight"] = state["log_weight"] + gained
    return after


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
