"""The graphs of the signatures over a model's variables.

`inputs.py` describes the signatures, their inputs and the checks. Arrays are
`[batch, time, (track,) pitch, channel]`.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from poph_tf.config import GenerationConfig, Limits, ModelConfig
from poph_tf.data import cells as cells_lib
from poph_tf.data import dataset, keys
from poph_tf.generation import form_graph, randomness, request
from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler, State
from poph_tf.models import losses
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.serving import midi_graph
from poph_tf.serving.inputs import ALIASES, MATRICES, STEERING, check, specs
from poph_tf.serving.states import BAR_STEPS, StateBytes, fingerprint
from poph_tf.theory import UNKNOWN

# Steps read at once, over all pieces: limits the memory that a request needs.
WINDOW_STEPS = 1024
_FRAMES = ("previous", "current")

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
        self.network: Any = model.network
        self.sampler = Sampler(model)
        self.state_bytes = StateBytes(self.sampler, fingerprint(model))
        # tf.Module does not find the variables inside Keras layers.
        self.model_variables = [variable.value for variable in model.variables]

    def signatures(self) -> dict[str, Callable[..., Any]]:
        """Concrete functions by name, aliases included."""
        inputs = specs(self.config)
        functions = {
            name: tf.function(
                getattr(self, name), autograph=False
            ).get_concrete_function(**inputs[name])
            for name in inputs
            if name not in ALIASES
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
            cells,
            length,
            inputs["tempo_qpm"],
            self.config.min_pitch,
            self.config.tracks,
        )
        return {"midi_bytes": files}

    def continue_(self, **inputs: tf.Tensor) -> Tensors:
        """Draws the next steps of each piece; returns its state after them."""
        inputs = self._checked(inputs)
        num_steps = inputs["num_steps"]
        start = self.state_bytes.unpack(inputs["state_bytes"])
        if self.config.key:
            start["key"] = _decided(start, randomness.keys(inputs["seed"]))
            inputs["key"] = start["key"] - 1
        controls = self._given_controls(inputs, start)

        def draw(start: tf.Tensor, state: State) -> tuple[tf.Tensor, State, tf.Tensor]:
            # Up to the end of the shortest unfinished piece; finished ones keep their
            # state.
            unfinished = num_steps > start
            stop = tf.reduce_min(tf.where(unfinished, num_steps, tf.int32.max))
            cells, after = self.sampler.draw_steps(
                state, stop - start, controls.since(start)
            )
            state = tf.nest.map_structure(
                lambda new, old: tf.where(_rows_like(unfinished, new), new, old),
                after,
                state,
            )
            return stop, state, cells

        shape = (None, None, *self.sampler.grid, 3)
        state, cells = _loop(
            tf.reduce_max(num_steps), start, draw, tf.TensorSpec(shape, tf.uint8)
        )
        outputs = _outputs(_silent_after(cells, num_steps), num_steps)
        return outputs | {"state_bytes": self.state_bytes.pack(state)}

    def draw_free(self, **inputs: tf.Tensor) -> Tensors:
        """Draws the free tracks and steps of whole pieces."""
        inputs = self._checked(inputs)
        given = inputs["given"]
        if self.config.key:
            notes = tf.cast(inputs["play"], tf.float32) * given[..., None]
            inputs["key"] = keys.find_keys(
                notes, self.config.min_pitch, inputs["bar_position"]
            )
        steering = {name: inputs[name] for name in STEERING}
        if not any(track.voice for track in self.config.tracks):
            del steering["top_p"]
        controls = _controls(inputs, self.config)._replace(
            bar_position=inputs["bar_position"],
            bars_left=inputs["bars_left"],
            **steering,
            **self._givens(inputs),
        )
        state = self.sampler.zero_state(tf.shape(given)[0], BAR_STEPS)
        num_steps = tf.shape(given)[1]
        cells, _ = self.sampler.draw_steps(state, num_steps, controls)
        return _outputs(cells, tf.fill(tf.shape(given)[:1], num_steps))

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
            left = inputs.get("bars_left")
            state = self.sampler.prefill(
                state,
                frames,
                here,
                inputs["style"],
                None if left is None else left[:, start:stop],
                key=state["key"] - 1 if self.config.key else None,
            )
            return stop, state, here[:, :0]  # nothing to collect

        state = self.state_bytes.unpack(inputs["state_bytes"])
        if self.config.key:
            found = keys.find_keys(inputs["play"], self.config.min_pitch)
            state["key"] = _decided(state, found)
        state, _ = _loop(
            tf.shape(cells)[1], state, read, tf.TensorSpec((None, None), tf.int32)
        )
        return {"state_bytes": self.state_bytes.pack(state | {"bar_steps": bar_steps})}

    def score(self, **inputs: tf.Tensor) -> Tensors:
        """Negative log-likelihood of each step given all steps before it, in nats.

        With `given`, of the free notes given all given notes.
        """
        inputs = self._checked(inputs)
        cells = tf.stack([inputs[name] for name in MATRICES], axis=-1)
        by_step = {
            "previous": tf.concat([tf.zeros_like(cells[:, :1]), cells[:, :-1]], axis=1),
            "current": cells,
            "bar_position": inputs["bar_position"],
            **self._track_steps(inputs),
        }
        ahead = None
        if "given" in inputs and self.config.look_ahead_units:
            ahead = self._look_ahead(by_step)

        def read(start: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any, tf.Tensor]:
            stop = _window_stop(start, cells)
            # Whether a given note is struck depends on the step before the window.
            early = tf.maximum(start - 1, 0) if "given" in inputs else start
            window = {name: x[:, early:stop] for name, x in by_step.items()}
            window |= {name: dataset.to_frames(window[name]) for name in _FRAMES}
            new = {name: x[:, start - early :] for name, x in window.items()}
            style = {"style": inputs["style"]}
            if self.config.tracks:
                known = {"bars_left": new["bars_left"], "look_ahead": None}
                if ahead is not None:
                    known["look_ahead"] = ahead[:, start:stop]
                new |= self.sampler.track_inputs(new["bar_position"], **known)
            hidden, state = self.network.time_axis(new | style, state)
            # The step before the window needs no hidden features of its own.
            hidden = tf.pad(hidden, [[start - early, 0], [0, 0], [0, 0], [0, 0]])
            outputs = self.network.pitch_axis(hidden, window | style)
            nats = _nats(outputs, window, self.config)
            return stop, state, nats[:, start - early :]

        state = self.network.zero_state(tf.shape(cells)[0])
        _, nats = _loop(
            tf.shape(cells)[1], state, read, tf.TensorSpec((None, None, 2), tf.float32)
        )
        return {"play_nats": nats[..., 0], "replay_nats": nats[..., 1]}

    score_given = score

    def _track_steps(self, inputs: Tensors) -> Tensors:
        """`bars_left` and `given` of a model with tracks; by default unknown and 0."""
        if not self.config.tracks:
            return {}
        like = inputs["play"][:, :, :, 0]
        unknown = {
            "bars_left": tf.fill(tf.shape(like)[:2], UNKNOWN),
            "given": tf.zeros(tf.shape(like)),
        }
        return {name: inputs.get(name, value) for name, value in unknown.items()}

    def _look_ahead(self, by_step: Tensors) -> tf.Tensor:
        """See `Sampler.look_ahead`."""
        frames = {name: dataset.to_frames(by_step[name]) for name in _FRAMES}
        return self.sampler.look_ahead(by_step | frames)

    def _given_controls(self, inputs: Tensors, start: State) -> Controls:
        """The controls of `continue_`, with the given notes of the next steps."""
        controls = _controls(inputs, self.config)
        if not self.config.tracks:
            return controls
        # Steps beyond those in the request are free.
        missing = tf.maximum(
            tf.reduce_max(inputs["num_steps"]) - tf.shape(inputs["given"])[1], 0
        )
        count = tf.range(tf.shape(inputs["given"])[1])[None]
        bars = start["bar_position"][:, None] + count
        bar_position = bars % start["bar_steps"][:, None]
        steps = self._givens(inputs | {"bar_position": bar_position})
        steps = {name: _padded(x, missing) for name, x in steps.items()}
        steps["bars_left"] = _padded(inputs["bars_left"] + 1, missing) - 1
        return controls._replace(**steps)

    def _givens(self, inputs: Tensors) -> Tensors:
        """The given notes of each step, and the network's look-ahead, as controls."""
        cells = tf.stack([inputs[name] for name in MATRICES], axis=-1)
        previous = tf.concat([tf.zeros_like(cells[:, :1]), cells[:, :-1]], axis=1)
        played = cells_lib.struck(cells, previous)
        frames = dataset.to_frames(cells)
        given = tf.broadcast_to(inputs["given"][..., None], tf.shape(played))
        clamped = [given, frames[..., 0], tf.cast(played, tf.float32), frames[..., 2]]
        steps = {"constraints": tf.stack(clamped, axis=-1) * given[..., None]}
        if self.config.look_ahead_units:
            by_step = {"previous": previous, "current": cells, **inputs}
            steps["look_ahead"] = self._look_ahead(by_step)
        return steps

    def _checked(self, inputs: Tensors) -> Tensors:
        """The inputs, for all ops that must not run before the checks.

        Matrices are made canonical: cells that do not sound have no replay and volume.
        Ops that read the unchecked inputs would run in parallel with the checks and
        could allocate memory for two billion steps before the check fails.
        """
        with tf.control_dependencies(check(inputs, self.limits)):
            found = {name: tf.identity(value) for name, value in inputs.items()}
        if "play" in found:
            found |= {k: found[k] * found["play"] for k in ("replay", "volume")}
        return found

    def _compose(self, inputs: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        num_steps = inputs["num_steps"]
        state = self.sampler.zero_state(tf.shape(num_steps)[0], BAR_STEPS)
        if self.config.key:
            inputs = inputs | {"key": randomness.keys(inputs["seed"])}
        controls = _controls(inputs, self.config)
        if self.config.tracks:
            bars = tf.range(tf.reduce_max(num_steps))[None] // BAR_STEPS
            left = (num_steps[:, None] - 1) // BAR_STEPS - bars
            controls = controls._replace(bars_left=tf.maximum(left, 0))
        if self.config.form:
            returns = self._returns(inputs["seed"], tf.reduce_max(num_steps))
            controls = controls._replace(returns=returns)
        cells, _ = self.sampler.draw_steps(state, tf.reduce_max(num_steps), controls)
        return _silent_after(cells, num_steps), num_steps

    def _returns(self, seed: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        """The form of each piece, int32 [batch, step], as in `Controls`."""
        bars = form_graph.drawn(seed, -(-num_steps // BAR_STEPS))
        steps = tf.repeat(BAR_STEPS * bars, BAR_STEPS, axis=1)[:, :num_steps]
        return tf.where(steps <= self.config.time_attention_steps, steps, 0)


def _controls(inputs: Tensors, config: ModelConfig) -> Controls:
    """The controls of a request, with `key` if the model has one.

    The others are those of `GenerationConfig`.
    """
    names = ("seed", "temperature", "style", *("key",) * config.key)
    asked = {name: inputs[name] for name in names}
    rows = tf.shape(inputs["temperature"])
    others = request.active_controls(GenerationConfig(), config)
    return Controls(**asked, **{k: tf.fill(rows, v) for k, v in others.items()})


def _decided(state: State, keys: tf.Tensor) -> tf.Tensor:
    """1 + the key of each piece: the state's, or `keys` if it has none yet."""
    return tf.where(state["key"] > 0, state["key"], keys + 1)


def _outputs(cells: tf.Tensor, length: tf.Tensor) -> Tensors:
    play, replay, volume = tf.unstack(cells, axis=-1)
    return {"play": play, "replay": replay, "volume": volume, "length": length}


def _silent_after(cells: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
    mask = tf.sequence_mask(num_steps, dtype=tf.uint8)
    axes = [1] * (len(cells.shape) - 2)
    return cells * tf.reshape(mask, tf.concat([tf.shape(mask), axes], axis=0))


def _padded(values: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    """Adds steps of zeros to [batch, step, ...]."""
    return tf.pad(values, [[0, 0], [0, missing]] + [[0, 0]] * (len(values.shape) - 2))


def _rows_like(mask: tf.Tensor, leaf: tf.Tensor) -> tf.Tensor:
    """Repeats bool [batch] for the rows of a leaf of the state (batch-major)."""
    rows = tf.repeat(mask, tf.shape(leaf)[0] // tf.shape(mask)[0])
    return tf.reshape(rows, [-1] + [1] * (len(leaf.shape) - 1))


def _nats(outputs: Tensors, window: Tensors, config: ModelConfig) -> tf.Tensor:
    """Nats of play and replay of the free notes, float32 [batch, time, 2]."""
    play = window["current"][..., 0]
    play_nats = losses.play_nats_of_tracks(play, outputs["play"], config.tracks)
    replay_nats = tf.zeros_like(play_nats)
    if "replay" in outputs:
        possible = losses.replay_possible(play, window["previous"][..., 0])
        replay_nats = losses.replay_nats(
            possible, window["current"][..., 1], outputs["replay"]
        )
    nats = [play_nats, replay_nats]
    if config.tracks:
        nats = [losses.free_sum(x, window["given"]) for x in nats]
    return tf.stack(nats, axis=-1)


def _window_stop(start: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
    """The end of the window of given steps that starts at `start`."""
    batch, num_steps = tf.shape(cells)[0], tf.shape(cells)[1]
    return tf.minimum(start + tf.maximum(WINDOW_STEPS // batch, 1), num_steps)


def _loop(
    num_steps: tf.Tensor,
    state: Any,
    advance: Callable[[tf.Tensor, Any], tuple[tf.Tensor, Any, tf.Tensor]],
    values: tf.TensorSpec,
) -> tuple[Any, tf.Tensor]:
    """Advances a state to `num_steps`, several steps at a time.

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
