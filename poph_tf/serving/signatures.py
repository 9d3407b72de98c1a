"""The graph of the signatures over a model's variables.

Every input has the batch axis, because TF Serving merges requests along it. Pitches
count from `min_pitch` of the model's config, a step is a sixteenth note. There are no
optional inputs; pieces of a batch don't enter one another.

`serving_default` and `compose`: a piece from its first step, in 4/4
    seed int32 [batch, 2], num_steps int32 [batch] 1..max_steps, temperature float32
    [batch] 0..10, style float32 [batch, styles] adding up to 1
    -> play, replay, volume uint8 [batch, time, pitch] (volume 0..127; zeros after a
    piece's end; time is the longest num_steps), length int32 [batch].
`compose_midi`: the same as a MIDI file
    as above, and tempo_qpm float32 [batch] 10..1000 -> midi_bytes string [batch].
`hear`: lets a piece's state take in given steps, a primer or another player's bars
    state_bytes string [batch] (empty: the start of a piece), play, replay, volume
    uint8 [batch, time, pitch], bar_position int32 [batch, time], bar_steps int32
    [batch] 1..256 (steps of the bars to come), style -> state_bytes string [batch].
`continue_`: goes on from a state, as far as the client likes
    state_bytes string [batch] (empty: the start of a piece), seed, num_steps,
    temperature, style as in compose
    -> play, replay, volume, length as in compose, state_bytes string [batch].
    Bar by bar it draws the piece that compose draws in one go.
`score`: the likelihood of each step given all before it
    play, replay, volume uint8 [batch, time, pitch], bar_position int32 [batch, time],
    style float32 [batch, styles] -> play_nats, replay_nats float32 [batch, time].

What is out of range gets INVALID_ARGUMENT with a line that says what is allowed.
"""

import hashlib
import json

import tensorflow as tf

from poph_tf.data import dataset
from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler
from poph_tf.models import losses
from poph_tf.serving import limits as limits_lib
from poph_tf.serving import midi_graph
from poph_tf.serving.states import BAR_STEPS, MARK_BYTES, StateBytes

# Steps of all pieces together that are read at once, so that no request that is
# allowed needs gigabytes.
WINDOW_STEPS = 1024
CONTROLS = ("seed", "temperature", "style")
ROLL = ("play", "replay", "volume")


class ServingModule(tf.Module):
    """What `tf.saved_model.save` is given.

    Args:
        model: PolyphonyModel.
        limits: bounds.Limits.
    """

    def __init__(self, model, limits):
        super().__init__()
        self.config = model.config
        self.limits = limits
        self.network = model.network
        self.sampler = Sampler(model)
        self.state_bytes = StateBytes(self.sampler, mark(model))
        # tf.Module does not find the variables inside Keras layers by itself.
        self.model_variables = [variable.value for variable in model.variables]

    def specs(self):
        """The inputs of each signature: name -> dict of name -> tf.TensorSpec."""
        shapes = {
            "seed": ([None, 2], tf.int32),
            "num_steps": ([None], tf.int32),
            "temperature": ([None], tf.float32),
            "style": ([None, len(self.config.styles)], tf.float32),
            "tempo_qpm": ([None], tf.float32),
            "state_bytes": ([None], tf.string),
            "bar_position": ([None, None], tf.int32),
            "bar_steps": ([None], tf.int32),
        }
        roll = ([None, None, self.config.num_pitches], tf.uint8)
        shapes |= dict.fromkeys(ROLL, roll)
        compose = ("seed", "num_steps", "temperature", "style")
        score = (*ROLL, "bar_position", "style")
        inputs = {
            "compose": compose,
            "compose_midi": (*compose, "tempo_qpm"),
            "hear": ("state_bytes", *score, "bar_steps"),
            "continue_": ("state_bytes", *compose),
            "score": score,
        }
        return {
            signature: {name: tf.TensorSpec(*shapes[name], name=name) for name in names}
            for signature, names in inputs.items()
        }

    def signatures(self):
        """Concrete functions by name, for tf.saved_model.save."""
        functions = {
            name: tf.function(getattr(self, name)).get_concrete_function(**specs)
            for name, specs in self.specs().items()
        }
        return {"serving_default": functions["compose"]} | functions

    def compose(self, **inputs):
        """Composes a batch of pieces from bar position 0 in 4/4."""
        return _as_outputs(*self._compose(inputs, []))

    def compose_midi(self, **inputs):
        """Composes a batch of pieces and writes each as a MIDI file."""
        tempo_qpm = inputs["tempo_qpm"]
        cells, length = self._compose(inputs, [limits_lib.check_tempo(tempo_qpm)])
        files = midi_graph.write(cells, length, tempo_qpm, self.config.min_pitch)
        return {"midi_bytes": files}

    def _compose(self, inputs, checks):
        inputs = _after(checks + self._check_wishes(inputs), inputs)
        num_steps = inputs["num_steps"]
        state = self.sampler.zero_state(tf.shape(num_steps)[0], BAR_STEPS)
        controls = Controls(**{name: inputs[name] for name in CONTROLS})
        cells, _ = self.sampler.draw_steps(state, tf.reduce_max(num_steps), controls)
        return _silent_after(cells, num_steps), num_steps

    def _check_wishes(self, inputs):
        return [
            *self.limits.check_batch(inputs.values()),
            self.limits.check_num_steps(inputs["num_steps"]),
            limits_lib.check_temperature(inputs["temperature"]),
            limits_lib.check_style(inputs["style"]),
        ]

    def continue_(self, **inputs):
        """Draws the next steps of each piece and gives its state after them."""
        inputs = _after(self._check_wishes(inputs), inputs)
        num_steps = inputs["num_steps"]
        state = self.state_bytes.unpack(inputs["state_bytes"])
        controls = Controls(**{name: inputs[name] for name in CONTROLS})
        cells, state = self._draw_each(state, num_steps, controls)
        outputs = _as_outputs(_silent_after(cells, num_steps), num_steps)
        return outputs | {"state_bytes": self.state_bytes.pack(state)}

    def _draw_each(self, state, num_steps, controls):
        """`draw_steps` with a number of steps, and a final state, for each piece.

        Draws as far as the shortest piece that is not done, keeps the state of those
        that were, and so on: once, where all have the same number.
        """
        shape = (None, None, self.config.num_pitches, 3)
        parts = tf.TensorArray(
            tf.uint8,
            0,
            dynamic_size=True,
            infer_shape=False,
            element_shape=shape,
        )

        def draw(drawn, state, parts):
            alive = num_steps > drawn
            target = tf.reduce_min(tf.where(alive, num_steps, tf.int32.max))
            cells, after = self.sampler.draw_steps(state, target - drawn, controls)
            state = tf.nest.map_structure(
                lambda new, old: tf.where(_to_rows(alive, new), new, old), after, state
            )
            cells = tf.transpose(cells, (1, 0, 2, 3))
            return target, state, parts.write(parts.size(), cells)

        _, state, parts = tf.while_loop(
            lambda drawn, *_: drawn < tf.reduce_max(num_steps),
            draw,
            (tf.constant(0), state, parts),
        )
        return tf.transpose(parts.concat(), (1, 0, 2, 3)), state

    def hear(self, **inputs):
        """Lets each piece's state take in given steps."""
        checks = [limits_lib.check_bar_steps(inputs["bar_steps"])]
        inputs = _after(checks + self._check_roll(inputs), inputs)
        bar_steps, bar_position = inputs["bar_steps"], inputs["bar_position"]
        state = self.state_bytes.unpack(inputs["state_bytes"])
        cells = tf.stack([inputs[name] for name in ROLL], axis=-1)
        coming = (bar_position[:, -1] + 1) % bar_steps
        positions = tf.concat([bar_position, coming[:, None]], axis=1)

        def read(steps, state):
            frames = dataset.to_frames(cells[:, steps[0] : steps[1]])
            here = positions[:, steps[0] : steps[1] + 1]
            state = self.sampler.prefill(state, frames, here, inputs["style"])
            return state, {}

        state, _ = _over_windows(tf.shape(cells), state, read)
        state |= {"bar_steps": bar_steps}
        return {"state_bytes": self.state_bytes.pack(state)}

    def _check_roll(self, inputs):
        return [
            *self.limits.check_batch(inputs.values()),
            *self.limits.check_roll(*(inputs[n] for n in (*ROLL, "bar_position"))),
            limits_lib.check_style(inputs["style"]),
        ]

    def score(self, **inputs):
        """Negative log-likelihood of each step given all before it, in nats."""
        inputs = _after(self._check_roll(inputs), inputs)
        cells = tf.stack([inputs[name] for name in ROLL], axis=-1)
        before = tf.concat([tf.zeros_like(cells[:, :1]), cells[:, :-1]], axis=1)

        def read(steps, state):
            window = {
                "previous": dataset.to_frames(before[:, steps[0] : steps[1]]),
                "current": dataset.to_frames(cells[:, steps[0] : steps[1]]),
                "bar_position": inputs["bar_position"][:, steps[0] : steps[1]],
                "style": inputs["style"],
            }
            hidden, state = self.network.time_axis(window, state)
            return state, _nats(self.network.pitch_axis(hidden, window), window)

        state = self.network.zero_state(tf.shape(cells)[0])
        _, nats = _over_windows(
            tf.shape(cells), state, read, ("play_nats", "replay_nats")
        )
        return nats


def _after(checks, inputs):
    """The inputs, for all that may be computed only once they are known to be good.

    Whatever reads the unchecked ones runs beside the checks, and a number of steps of
    two thousand million would be made memory for before it is refused.
    """
    with tf.control_dependencies(checks):
        return {name: tf.identity(value) for name, value in inputs.items()}


def _as_outputs(cells, length):
    play, replay, volume = tf.unstack(cells, axis=-1)
    return {"play": play, "replay": replay, "volume": volume, "length": length}


def _silent_after(cells, num_steps):
    return cells * tf.sequence_mask(num_steps, dtype=tf.uint8)[:, :, None, None]


def _to_rows(alive, leaf):
    """bool [batch] -> one for each row of a leaf, whose rows are batch-major."""
    rows = tf.repeat(alive, tf.shape(leaf)[0] // tf.shape(alive)[0])
    return tf.reshape(rows, [-1] + [1] * (len(leaf.shape) - 1))


def _nats(outputs, window):
    play = window["current"][..., 0]
    play_nats = losses.play_nats(play, outputs["play"])
    replay_nats = tf.zeros_like(play_nats)
    if "replay" in outputs:
        possible = losses.replay_possible(play, window["previous"][..., 0])
        replay_nats = losses.replay_nats(
            possible, window["current"][..., 1], outputs["replay"]
        )
    return {"play_nats": play_nats, "replay_nats": replay_nats}


def _over_windows(shape, state, read, names=()):
    """Carries a state over windows of given steps.

    Args:
        shape: int32 [>= 2]: batch and time first.
        state: nested, of the start.
        read: function of ((start, stop), state) that gives the state after these
            steps, and a dict of float32 [batch, stop - start] by `names`.
        names: what `read` gives.

    Returns:
        (state after the last step, dict of float32 [batch, time]).
    """
    batch, num_steps = shape[0], shape[1]
    window = tf.maximum(WINDOW_STEPS // batch, 1)
    parts = {
        name: tf.TensorArray(
            tf.float32,
            0,
            dynamic_size=True,
            infer_shape=False,
            element_shape=(None, None),
        )
        for name in names
    }

    def body(start, state, parts):
        stop = tf.minimum(start + window, num_steps)
        after, found = read((start, stop), state)
        # The caches of attention have slices of a size that the graph can't tell.
        state = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(new, old.shape), after, state
        )
        parts = {
            name: part.write(part.size(), tf.transpose(found[name]))
            for name, part in parts.items()
        }
        return stop, state, parts

    _, state, parts = tf.while_loop(
        lambda start, *_: start < num_steps, body, (tf.constant(0), state, parts)
    )
    return state, {name: tf.transpose(part.concat()) for name, part in parts.items()}


def mark(model):
    """Eight bytes that tell a model's weights and settings from any other's.

    The seeds of dropout, which are drawn anew whenever a model is loaded, don't count.
    """
    digest = hashlib.sha256(json.dumps(model.config.to_dict()).encode())
    for variable in model.trainable_variables:
        digest.update(variable.numpy().tobytes())
    return digest.digest()[:MARK_BYTES]
