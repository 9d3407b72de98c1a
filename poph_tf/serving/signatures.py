"""The graphs of the signatures over a model's variables.

`inputs.py` describes the signatures, their inputs and what is checked. Arrays are
`[batch, time, pitch, channel]`.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from poph_tf.config import Limits
from poph_tf.data import dataset
from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler, State
from poph_tf.models import losses
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.serving import midi_graph
from poph_tf.serving.inputs import ALIASES, MATRICES, SIGNATURES, check, specs
from poph_tf.serving.states import BAR_STEPS, StateBytes, fingerprint

# Steps read at once, all pieces together: bounds the memory that a request needs.
WINDOW_STEPS = 1024

Tensors = dict[str, tf.Tensor]


class ServingModule(tf.Module):
    """The module that `tf.saved_model.save` writes.

    Args:
        model: the model to export.
        limits: what one request may ask for.
    """

    def __init__(self, model: PolyphonyModel, limits: Limits) -> None:
        super().__init__()
        self.config = model.config
        self.limits = limits
        self.network = model.network
        self.sampler = Sampler(model)
        self.state_bytes = StateBytes(self.sampler, fingerprint(model))
        # tf.Module does not find the variables inside Keras layers.
        self.model_variables = [variable.value for variable in model.variables]

    def signatures(self) -> dict[str, Callable[..., Any]]:
        """Concrete functions by name, aliases included."""
        inputs = specs(self.config)
        functions = {
            name: tf.function(getattr(self, name)).get_concrete_function(**inputs[name])
            for name in SIGNATURES
        }
        return functions | {alias: functions[name] for alias, name in ALIASES.items()}

    def compose(self, **inputs: tf.Tensor) -> Tensors:
        """Composes a batch of pieces from bar position 0 in 4/4."""
        return _outputs(*self._compose(self._checked(inputs)))

    def compose_midi(self, **inputs: tf.Tensor) -> Tensors:
        """Composes a batch of pieces and writes each as a MIDI file."""
        inputs = self._checked(inputs)
        cells, length = self._compose(inputs)
        files = midi_graph.write(
            cells, length, inputs["tempo_qpm"], self.config.min_pitch
        )
        return {"midi_bytes": files}

    def continue_(self, **inputs: tf.Tensor) -> Tensors:
        """Draws the next steps of each piece; returns its state after them."""
        inputs = self._checked(inputs)
        num_steps, controls = inputs["num_steps"], _controls(inputs)

        def draw(start: tf.Tensor, state: State) -> tuple[tf.Tensor, State, tf.Tensor]:
            # As far as the shortest unfinished piece; finished ones keep their state.
            unfinished = num_steps > start
            stop = tf.reduce_min(tf.where(unfinished, num_steps, tf.int32.max))
            cells, after = self.sampler.draw_steps(state, stop - start, controls)
            state = tf.nest.map_structure(
                lambda new, old: tf.where(_rows_like(unfinished, new), new, old),
                after,
                state,
            )
            return stop, state, cells

        start = self.state_bytes.unpack(inputs["state_bytes"])
        shape = (None, None, self.config.num_pitches, 3)
        state, cells = _loop(
            tf.reduce_max(num_steps), start, draw, tf.TensorSpec(shape, tf.uint8)
        )
        outputs = _outputs(_silent_after(cells, num_steps), num_steps)
        return outputs | {"state_bytes": self.state_bytes.pack(state)}

    def prefill(self, **inputs: tf.Tensor) -> Tensors:
        """Advances the state of each piece over given steps."""
        inputs = self._checked(inputs)
        bar_steps, bar_position = inputs["bar_steps"], inputs["bar_position"]
        next_position = (bar_position[:, -1] + 1) % bar_steps
        positions = tf.concat([bar_position, next_position[:, None]], axis=1)
        cells = tf.stack([inputs[name] for name in MATRICES], axis=-1)

        def read(start: tf.Tensor, state: State) -> tuple[tf.Tensor, State, tf.Tensor]:
            stop = _window_stop(start, cells)
            frames = dataset.to_frames(cells[:, start:stop])
            here = positions[:, start : stop + 1]
            state = self.sampler.prefill(state, frames, here, inputs["style"])
            return stop, state, here[:, :0]  # there is nothing to collect

        state = self.state_bytes.unpack(inputs["state_bytes"])
        state, _ = _loop(
            tf.shape(cells)[1], state, read, tf.TensorSpec((None, None), tf.int32)
        )
        return {"state_bytes": self.state_bytes.pack(state | {"bar_steps": bar_steps})}

    def score(self, **inputs: tf.Tensor) -> Tensors:
        """Negative log-likelihood of each step given all steps before it, in nats."""
        inputs = self._checked(inputs)
        cells = tf.stack([inputs[name] for name in MATRICES], axis=-1)
        previous = tf.concat([tf.zeros_like(cells[:, :1]), cells[:, :-1]], axis=1)

        def read(start: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any, tf.Tensor]:
            stop = _window_stop(start, cells)
            window = {
                "previous": dataset.to_frames(previous[:, start:stop]),
                "current": dataset.to_frames(cells[:, start:stop]),
                "bar_position": inputs["bar_position"][:, start:stop],
                "style": inputs["style"],
            }
            hidden, state = self.network.time_axis(window, state)
            return stop, state, _nats(self.network.pitch_axis(hidden, window), window)

        state = self.network.zero_state(tf.shape(cells)[0])
        _, nats = _loop(
            tf.shape(cells)[1], state, read, tf.TensorSpec((None, None, 2), tf.float32)
        )
        return {"play_nats": nats[..., 0], "replay_nats": nats[..., 1]}

    def _checked(self, inputs: Tensors) -> Tensors:
        """The inputs, for every op that must not run before they are checked.

        Ops that read the unchecked inputs would run beside the checks: memory would be
        allocated for two billion steps before their number is refused.
        """
        with tf.control_dependencies(check(inputs, self.limits)):
            return {name: tf.identity(value) for name, value in inputs.items()}

    def _compose(self, inputs: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        num_steps = inputs["num_steps"]
        state = self.sampler.zero_state(tf.shape(num_steps)[0], BAR_STEPS)
        cells, _ = self.sampler.draw_steps(
            state, tf.reduce_max(num_steps), _controls(inputs)
        )
        return _silent_after(cells, num_steps), num_steps


def _controls(inputs: Tensors) -> Controls:
    return Controls(**{name: inputs[name] for name in ("seed", "temperature", "style")})


def _outputs(cells: tf.Tensor, length: tf.Tensor) -> Tensors:
    play, replay, volume = tf.unstack(cells, axis=-1)
    return {"play": play, "replay": replay, "volume": volume, "length": length}


def _silent_after(cells: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
    return cells * tf.sequence_mask(num_steps, dtype=tf.uint8)[:, :, None, None]


def _rows_like(mask: tf.Tensor, leaf: tf.Tensor) -> tf.Tensor:
    """Repeats bool [batch] for the rows of a leaf of the state (batch-major)."""
    rows = tf.repeat(mask, tf.shape(leaf)[0] // tf.shape(mask)[0])
    return tf.reshape(rows, [-1] + [1] * (len(leaf.shape) - 1))


def _nats(outputs: Tensors, window: Tensors) -> tf.Tensor:
    """Nats of play and replay, float32 [batch, time, 2]."""
    play = window["current"][..., 0]
    play_nats = losses.play_nats(play, outputs["play"])
    replay_nats = tf.zeros_like(play_nats)
    if "replay" in outputs:
        possible = losses.replay_possible(play, window["previous"][..., 0])
        replay_nats = losses.replay_nats(
            possible, window["current"][..., 1], outputs["replay"]
        )
    return tf.stack([play_nats, replay_nats], axis=-1)


def _window_stop(start: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
    """End of the window of given steps that starts at `start`."""
    batch, num_steps = tf.shape(cells)[0], tf.shape(cells)[1]
    return tf.minimum(start + tf.maximum(WINDOW_STEPS // batch, 1), num_steps)


def _loop(
    num_steps: tf.Tensor,
    state: Any,
    advance: Callable[[tf.Tensor, Any], tuple[tf.Tensor, Any, tf.Tensor]],
    values: tf.TensorSpec,
) -> tuple[Any, tf.Tensor]:
    """Advances a state to `num_steps`, some steps at a time.

    Args:
        num_steps: int32 scalar.
        state: nested, before the first step.
        advance: (start, state) -> (stop, state, values of these steps).
        values: type and shape [batch, time, ...] of the values.

    Returns:
        The state after the last step, and the values of all steps.
    """
    parts = tf.TensorArray(
        values.dtype,
        0,
        dynamic_size=True,
        infer_shape=False,
        element_shape=values.shape,
    )
    swap = (1, 0, *range(2, len(values.shape)))  # `concat` joins along the first axis

    def body(start: tf.Tensor, state: Any, parts: Any) -> tuple[tf.Tensor, Any, Any]:
        stop, after, found = advance(start, state)
        # The graph cannot infer the size of slices in the caches of attention.
        state = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(new, old.shape), after, state
        )
        return stop, state, parts.write(parts.size(), tf.transpose(found, swap))

    _, state, parts = tf.while_loop(
        lambda start, *_: start < num_steps, body, (tf.constant(0), state, parts)
    )
    return state, tf.transpose(parts.concat(), swap)
