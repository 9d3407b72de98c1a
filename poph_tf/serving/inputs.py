"""The inputs of each signature: what a request to an exported model may contain.

Each input is declared once, in `INPUTS`: its type, axes, range and meaning. The tensor
specs of the signatures, the checks in their graphs, the warm-up requests, the model
card and the manual's tables are derived from it.

Every input has a batch axis, because TF Serving merges requests along it, and all
inputs of a signature are required. Pitches count from `min_pitch` of the model's
config; a step is a sixteenth note. The pieces of a batch do not affect each other.

A check is an assertion op: it fails with INVALID_ARGUMENT and a line that says what is
allowed and, if it is short, what was received. XLA drops assertion ops, so they stay
outside the code that it compiles, and all other ops wait for them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from poph_tf.config import Limits, ModelConfig

EXAMPLE_STEPS = 16
# Style shares arrive as rounded decimals.
SHARES_TOLERANCE = 1e-3
_MAX_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        dtype: name of a TensorFlow type.
        axes: axes after the batch; a number is a fixed size.
        meaning: description for clients.
        low: smallest value, or None.
        high: largest value, or None; a string names a field of `Limits`.
        example: value in warm-up requests.
        shares: whether the last axis holds shares that add up to 1.
    """

    dtype: str
    axes: tuple[str | int, ...]
    meaning: str
    low: float | None = None
    high: float | str | None = None
    example: float = 0
    shares: bool = False

    def upper(self, limits: Limits | None) -> Any:
        """The largest value; the name of the limit if there are no limits."""
        if isinstance(self.high, str):
            return getattr(limits, self.high, self.high)
        return self.high

    def allowed(self, limits: Limits | None = None) -> str:
        """The allowed values in words.

        Example:
            >>> INPUTS["num_steps"].allowed(Limits(max_steps=64))
            '1 to 64'
        """
        high = self.upper(limits)
        if self.shares:
            return "shares from 0 to 1 that add up to 1 for each piece"
        if self.low is None:
            return "any"
        if high is None:
            return f"{self.low} or more"
        return f"{self.low} {'or' if high == self.low + 1 else 'to'} {high}"

    def describe(self, limits: Limits | None) -> dict[str, str]:
        """Type, range and meaning in words."""
        axes = ", ".join(map(str, ("batch", *self.axes)))
        type_ = f"{self.dtype} [{axes}]".replace(f"{_TRACK}, ", f"({_TRACK},) ")
        return {"type": type_, "range": self.allowed(limits), "meaning": self.meaning}


class Signature(NamedTuple):
    """One function of the exported model."""

    meaning: str
    inputs: tuple[str, ...]
    outputs: str
    track_inputs: tuple[str, ...] = ()
    """Additional inputs for models with tracks."""
    only_tracks: bool = False
    """Whether models without tracks lack it."""


# Models without tracks lack this axis.
_TRACK = "track"
_GRID = ("time", _TRACK, "pitch")
INPUTS = {
    "seed": Input("int32", (2,), "Piece k of generate --seed=s has [s, k - 1]."),
    "num_steps": Input("int32", (), "Steps to compose.", 1, "max_steps", 16),
    "temperature": Input(
        "float32", (), "0 takes the likeliest notes; 1 is as trained.", 0, 10, 1
    ),
    "style": Input(
        "float32", ("styles",), "Shares of the model card's styles.", 0, shares=True
    ),
    "replay_temperature": Input(
        "float32",
        (),
        "Temperature of rests, held and struck notes of voices; 0: as trained.",
        0,
        10,
    ),
    "top_p": Input(
        "float32",
        (),
        "Each voice draws from its likeliest values with this total probability.",
        0.01,
        1,
        1,
    ),
    "pitch_bias": Input(
        "float32",
        ("time", "pitch"),
        "Added to the logits: -2 outside a key, or a chord; -10000: never.",
        -1e6,
        1e6,
    ),
    "tempo_qpm": Input("float32", (), "Quarter notes per minute.", 10, 1000, 120),
    "play": Input("uint8", _GRID, "1 while the pitch sounds.", 0, 1),
    "replay": Input("uint8", _GRID, "1 where a sounding pitch is struck again.", 0, 1),
    "volume": Input("uint8", _GRID, "Velocity where play is 1, else 0.", 0, 127),
    "bar_position": Input("int32", ("time",), "Steps since the last bar line.", 0),
    "bars_left": Input(
        "int32",
        ("time",),
        "Bars left after the step's bar, 0 in the last one; -1: unknown.",
        -1,
        None,
        -1,
    ),
    "given": Input(
        "float32",
        ("time", _TRACK),
        "1 where play, replay and volume are given; steps after the last are free.",
        0,
        1,
    ),
    "bar_steps": Input(
        "int32", (), "Steps of the following bars; 16 in 4/4.", 1, 256, 16
    ),
    "state_bytes": Input(
        "string", (), "Empty at the start of a piece, else from prefill or continue_."
    ),
}
MATRICES = ("play", "replay", "volume")
_COMPOSE = ("seed", "num_steps", "temperature", "style")
STEERING = ("replay_temperature", "top_p", "pitch_bias")
_SCORE = (*MATRICES, "bar_position", "style")
_PIECE = (
    "play, replay, volume uint8 [batch, time, (track,) pitch], zeros after a piece's "
    "end; length int32 [batch]"
)
_NATS = "play_nats, replay_nats float32 [batch, time]"
_STATE = "state_bytes string [batch]"
SIGNATURES = {
    "compose": Signature("Composes pieces in 4/4.", _COMPOSE, _PIECE),
    "compose_midi": Signature(
        "Composes the same pieces as MIDI files.",
        (*_COMPOSE, "tempo_qpm"),
        "midi_bytes string [batch]",
    ),
    "prefill": Signature(
        "Advances the state of a piece over given steps, such as a primer.",
        ("state_bytes", *_SCORE, "bar_steps"),
        _STATE,
        ("bars_left",),
    ),
    "continue_": Signature(
        "Composes the steps after a state; bar by bar it gives the piece of compose.",
        ("state_bytes", *_COMPOSE),
        f"{_PIECE}; {_STATE}",
        (*MATRICES, "given", "bars_left"),
    ),
    "draw_free": Signature(
        "Draws the free notes of whole pieces, knowing the given notes before and "
        "after: harmonizes, accompanies, fills in, varies.",
        (*_SCORE, "seed", "temperature"),
        _PIECE,
        ("given", "bars_left", *STEERING),
        only_tracks=True,
    ),
    "score": Signature(
        "Negative log-likelihood of each step given all steps before it.",
        _SCORE,
        _NATS,
    ),
    "score_given": Signature(
        "Negative log-likelihood of the free notes given all given notes.",
        _SCORE,
        _NATS,
        ("given", "bars_left"),
        only_tracks=True,
    ),
}
# Former names of signatures; the next release will drop them.
DEPRECATED = {"hear": "prefill"}
ALIASES = {"serving_default": "compose"} | DEPRECATED


def describe(
    limits: Limits | None = None, config: ModelConfig | None = None
) -> dict[str, dict[str, Any]]:
    """Describes all signatures for the model card and the manual, ready for JSON.

    Args:
        limits: limits of the export; None shows their names.
        config: the model's configuration; None describes the inputs of any model.
    """
    found = {}
    every = {k: (*s.inputs, *s.track_inputs) for k, s in SIGNATURES.items()}
    for name, takes in (signatures(config) if config else every).items():
        inputs = {each: INPUTS[each].describe(limits) for each in takes}
        found[name] = SIGNATURES[name]._asdict() | {"inputs": inputs}
    for alias, name in ALIASES.items():
        found[alias] = {"same_as": name, "deprecated": alias in DEPRECATED}
    return found


def specs(config: ModelConfig) -> dict[str, dict[str, tf.TensorSpec]]:
    """The inputs of each signature, aliases included: name -> input -> TensorSpec."""
    sizes: dict[Any, int | None] = {"time": None, "pitch": config.num_pitches}
    sizes[_TRACK] = len(config.tracks)
    sizes["styles"] = len(config.styles)

    def spec(name: str) -> tf.TensorSpec:
        axes = [axis for axis in INPUTS[name].axes if config.tracks or axis != _TRACK]
        shape = [sizes.get(axis, axis) for axis in axes]
        return tf.TensorSpec([None, *shape], INPUTS[name].dtype, name)

    found = {
        name: {each: spec(each) for each in takes}
        for name, takes in signatures(config).items()
    }
    return found | {alias: found[name] for alias, name in ALIASES.items()}


def signatures(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """The input names of each signature of a model."""
    has_tracks = bool(config.tracks)
    return {
        name: signature.inputs + signature.track_inputs * has_tracks
        for name, signature in SIGNATURES.items()
        if has_tracks or not signature.only_tracks
    }


def example(name: str, spec: tf.TensorSpec) -> np.ndarray:
    """A valid input for one piece of `EXAMPLE_STEPS` silent steps."""
    shape = [1, *(EXAMPLE_STEPS if size is None else size for size in spec.shape[1:])]
    if spec.dtype == tf.string:
        return np.full(shape, b"", object)
    value = 1 / shape[-1] if INPUTS[name].shares else INPUTS[name].example
    return np.full(shape, value, spec.dtype.as_numpy_dtype)


def check(inputs: Mapping[str, tf.Tensor], limits: Limits) -> list[tf.Operation]:
    """Assertion ops for all inputs of a signature.

    Args:
        inputs: as `INPUTS` declares them.
        limits: limits of the export.
    """
    checks = _check_sizes("batch size", inputs, 0, limits.max_batch)
    by_step = {name: x for name, x in inputs.items() if "time" in INPUTS[name].axes}
    if by_step:
        checks += _check_sizes("number of steps", by_step, 1, limits.max_steps)
    ranged = [name for name in inputs if INPUTS[name].low is not None]
    return checks + [check_range(name, inputs[name], limits) for name in ranged]


def _check_sizes(
    what: str, inputs: Mapping[str, tf.Tensor], axis: int, most: int
) -> list[tf.Operation]:
    sizes = tf.stack([tf.shape(tensor)[axis] for tensor in inputs.values()])
    names = "all inputs" if axis == 0 else ", ".join(inputs)
    valid = (sizes >= 1) & (sizes <= most)
    return [
        require(sizes == sizes[0], f"{names} must have the same {what}", sizes),
        require(valid, f"the {what} must be 1 to {most}", sizes),
    ]


def check_range(name: str, tensor: tf.Tensor, limits: Limits) -> tf.Operation:
    """An assertion op for the values of one input."""
    declared = INPUTS[name]
    high = declared.upper(limits)
    # NaN fails every comparison, so it is rejected too.
    valid = tensor >= tf.cast(declared.low, tensor.dtype)
    if high is not None:
        valid &= tensor <= tf.cast(high, tensor.dtype)
    if declared.shares:
        total = tf.reduce_sum(tensor, axis=-1, keepdims=True)
        valid &= tf.abs(total - 1.0) < SHARES_TOLERANCE
    shown = None if "time" in declared.axes else tensor
    return require(valid, f"{name} must be {declared.allowed(limits)}", shown)


def require(
    condition: tf.Tensor, message: str, received: tf.Tensor | None = None
) -> tf.Operation:
    """An op that fails with `message` unless the condition holds everywhere."""
    shown = [message] if received is None else [f"{message}, got", received]
    return tf.debugging.Assert(tf.reduce_all(condition), shown, summarize=_MAX_SHOWN)
