"""Requests: `GenerationConfig` resolved for one model, complete and checked.

The drawing loop only reads requests. In them, strings are parsed, files are read, and
bars, keys and styles have become steps, biases and vectors.
"""

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from poph_tf import named_chords, theory
from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.config.generation import AUTO_KEY, MAX_PIECES
from poph_tf.data import bars as bars_lib
from poph_tf.errors import InputError
from poph_tf.generation import conditions, tasks, track_tasks
from poph_tf.generation.controls import Controls, key_scales
from poph_tf.models import pretrained

# Scales that models with a key input have learnt.
LEARNT_SCALES = ("major", "minor", "harmonic minor")
# Bias of a pitch out of range: its probability underflows to 0 at usual temperatures.
NEVER = -1e4
# Settings with a control of the same name. The control is off at the value that changes
# nothing: that in `OFF`, or else the setting's default.
OPTIONAL_CONTROLS = (
    "replay_temperature",
    "silence_temperature",
    "density",
    "min_probability",
    "probability_exponent",
    "top_p",
    "form_strength",
    "chord_strength",
)
# Controls that a kind of model lacks: the kind, and what to use instead.
OF_CHORDS = {
    "min_probability": "of voices: use top_p",
    "probability_exponent": "of voices: use temperature",
}
OF_VOICES = {"top_p": "with chords: use min_probability"}
OF_FORM = {"form_strength": "that does not read the form: leave it out"}
OF_CHORDS_TOLD = {"chord_strength": "that does not read chords: leave it out"}
OFF = {"top_p": 1.0, "form_strength": 1.0, "chord_strength": 1.0}


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """What to draw: pieces, each with candidates, each with particles.

    A row is one particle, or one candidate without particles. Rows are piece-major:
    the candidates of a piece stand together, and so do the particles of a candidate.

    Attributes:
        task: steps to prefill, to draw and to keep.
        controls: controls of all rows, as NumPy arrays, except those that vary by step.
        styles: float32 [part, styles].
        style_starts: int [part]. The drawn step at which each style starts.
        num_pieces: number of pieces.
        num_candidates: candidates of each piece, one of which is kept.
        num_particles: particles of each candidate; 0 draws without weights.
        best_by: how the candidate is chosen.
        key_outside: float32 [12], 1 outside the key by which candidates are compared;
            None: the key that fits each best.
        chords: float32 [step, pitch], the bias of each step's chord, range and key;
            None: there are no chords.
        returns: int32 [row, whole step], see `Controls`; None: unknown.
    """

    task: tasks.Task
    controls: Controls
    styles: np.ndarray
    style_starts: np.ndarray
    num_pieces: int
    num_candidates: int
    num_particles: int
    best_by: Literal["key", "likelihood"]
    key_outside: np.ndarray | None
    chords: np.ndarray | None = None
    returns: np.ndarray | None = None

    @property
    def num_steps(self) -> int:
        """Steps to draw in each row."""
        return self.task.num_steps

    @property
    def rows_per_piece(self) -> int:
        """Candidates times particles."""
        return self.num_candidates * max(self.num_particles, 1)

    @property
    def num_rows(self) -> int:
        """Rows of all pieces."""
        return self.num_pieces * self.rows_per_piece

    def key(self, row: int) -> str:
        """The key given to the network for a row, such as "G minor"; empty: none."""
        keys = self.controls.key
        return "" if keys is None else theory.key_name(int(keys[row]))

    def chunk(
        self, first: int, num_steps: int, ahead: np.ndarray | None = None
    ) -> Controls:
        """The controls of some steps of all rows, zeros after the last step.

        Args:
            first: the first step.
            num_steps: number of steps.
            ahead: float32 [whole step, ...], from the look-ahead of the engine.
        """
        steps = np.arange(first, min(first + num_steps, self.num_steps))
        task = self.task
        by_step = {"bar_position": task.bar_position[steps].astype(np.int32)}
        if task.bars_left is not None:
            by_step["bars_left"] = task.bars_left[len(task.prefill) + steps]
        if ahead is not None:
            by_step["look_ahead"] = ahead[len(task.prefill) + steps]
        if self.rows_per_piece > 1:
            by_step["scored"] = np.ones(len(steps), np.float32)
        if task.clamped is not None:
            by_step["constraints"] = task.clamped[steps]
        if self.chords is not None:
            by_step["pitch_bias"] = self.chords[steps]
        if len(self.styles) > 1:
            part = np.searchsorted(self.style_starts, steps, side="right") - 1
            by_step["style"] = self.styles[part]

        def filled(values: np.ndarray) -> np.ndarray:
            missing = [(0, num_steps - len(steps))] + [(0, 0)] * (values.ndim - 1)
            return _tiled(np.pad(values, missing), self.num_rows)

        controls = {k: filled(v) for k, v in by_step.items()}
        if self.returns is not None:
            returns = self.returns[:, len(task.prefill) + steps]
            missing = [(0, 0), (0, num_steps - len(steps))]
            controls["returns"] = np.pad(returns, missing)
        return self.controls._replace(**controls)


def resolve(config: GenerationConfig, model: Any) -> Request:
    """Turns settings into a request.

    Args:
        config: what to compose.
        model: PolyphonyModel, or its ModelConfig.

    Raises:
        InputError: If the settings do not fit the model or the given music.
    """
    model_config = getattr(model, "config", model)
    _check_controls(config, model_config)
    schedule = style_schedule(config.style, model_config)
    source = track_tasks if model_config.tracks else tasks
    task = source.from_config(config, model_config)
    num_particles = 0 if model_config.tracks else config.num_particles
    bars, styles = zip(*schedule, strict=True)
    controls = _controls(config, model_config, styles[0], num_particles)
    if model_config.key:
        keys = conditions.keys_of(config, model_config, task, controls.seed)
        controls = controls._replace(key=keys)
    named_key = config.key if config.key != AUTO_KEY else ""
    return Request(
        task=task,
        controls=controls,
        styles=np.stack(styles),
        style_starts=_steps_of_bars(task.bar_position, bars),
        num_pieces=config.num_pieces,
        num_candidates=config.best_of,
        num_particles=num_particles,
        best_by=config.best_by,
        key_outside=theory.key_outside(named_key) if named_key else None,
        chords=_chords(config, model_config, task),
        returns=conditions.returns_of(config, model_config, task, controls.seed),
    )


def _changed_controls(config: GenerationConfig, **off: float) -> list[str]:
    """The names of controls that are not at their defaults, or at `off` if named."""
    unchanged = {n: getattr(GenerationConfig, n) for n in OPTIONAL_CONTROLS} | off
    return [n for n in OPTIONAL_CONTROLS if getattr(config, n) != unchanged[n]]


def _lacking(model_config: ModelConfig) -> Mapping[str, str]:
    """The controls that a model lacks: its kind, and what to use instead."""
    tracks = model_config.tracks
    # A melody over chords rests for bars, and after a rest the likeliest value is rest:
    # from its likeliest values alone it would never begin.
    of_voices = tracks and all(track.voice for track in tracks)
    lacking = OF_CHORDS if of_voices else OF_VOICES
    lacking = lacking | ({} if model_config.form else OF_FORM)
    return lacking | ({} if model_config.chords else OF_CHORDS_TOLD)


def active_controls(
    config: GenerationConfig, model_config: ModelConfig
) -> dict[str, float]:
    """The controls, equal in all rows and steps, that change what a model draws.

    Example:
        >>> active_controls(GenerationConfig(density=3.0), ModelConfig())
        {'density': 3.0}
    """
    lacking = _lacking(model_config)
    names = [n for n in _changed_controls(config, **OFF) if n not in lacking]
    names += ["key_strength"] * model_config.key
    values = {name: getattr(config, name) for name in names}
    least = max(config.min_probability, model_config.chord_min_probability)
    if least and "min_probability" not in lacking:
        values["min_probability"] = least
    return values


def _check_controls(config: GenerationConfig, model_config: ModelConfig) -> None:
    """Raises InputError for controls that would do nothing in this model."""
    lacking = _lacking(model_config)
    for name in set(_changed_controls(config)) & set(lacking):
        raise InputError(f"{name} does nothing in a model {lacking[name]}.")


def _chords(
    config: GenerationConfig, model_config: ModelConfig, task: tasks.Task
) -> np.ndarray | None:
    """The bias of each drawn step, float32 [step, pitch]; None without chords."""
    outside = named_chords.read_chords(config.chords)
    if not len(outside):
        return None
    bars = np.maximum(np.cumsum(task.bar_position == 0) - 1, 0)
    classes = np.arange(model_config.num_pitches) + model_config.min_pitch
    by_step = outside[bars % len(outside)][:, classes % theory.NUM_PITCH_CLASSES]
    return pitch_bias(config, model_config) - config.key_strength * by_step


def _controls(
    config: GenerationConfig,
    model_config: ModelConfig,
    style: np.ndarray,
    num_particles: int,
) -> Controls:
    num_rows = config.num_pieces * config.best_of * max(num_particles, 1)
    by_row: dict[str, Any] = active_controls(config, model_config)
    by_row |= {"temperature": config.temperature, "style": style}
    bias, scales = pitch_bias(config, model_config), None
    if bias.any():
        by_row["pitch_bias"] = bias
    if config.key == AUTO_KEY and not model_config.key:
        by_row["key_strength"] = config.key_strength
        scales = key_scales(model_config)
    rows = {k: _tiled(np.float32(v), num_rows) for k, v in by_row.items()}
    seeds = _seeds(config, num_rows)
    if model_config.tracks and not config.style.strip():
        rows["style"] = conditions.drawn_styles(seeds, style)
    return Controls(seed=seeds, key_scales=scales, **rows)


def pitch_bias(config: GenerationConfig, model_config: ModelConfig) -> np.ndarray:
    """The bias of the play logits for a named key and a range of pitches.

    Returns:
        float32 [pitch].

    Raises:
        InputError: If the model has no pitch in the range.

    Example:
        >>> model_config = ModelConfig(min_pitch=60, num_pitches=3)
        >>> pitch_bias(GenerationConfig(key="C major"), model_config).tolist()
        [0.0, -2.0, 0.0]
    """
    pitches = np.arange(model_config.min_pitch, model_config.max_pitch + 1)
    low, high = config.min_pitch, config.max_pitch
    inside = (pitches >= low) & (pitches <= high)
    if not inside.any():
        raise InputError(
            f"min_pitch and max_pitch must include a pitch of the model, {pitches[0]} "
            f"to {pitches[-1]}, got {low} to {high}."
        )
    bias = np.zeros(len(pitches), np.float32)
    if _keeps_outside(config, model_config):
        outside = theory.key_outside(config.key)[pitches % theory.NUM_PITCH_CLASSES]
        bias -= config.key_strength * outside
    return np.where(inside, bias, NEVER).astype(np.float32)


def _keeps_outside(config: GenerationConfig, model: ModelConfig) -> bool:
    """Whether a named key biases the pitches: the network does not know its scale."""
    if config.key in ("", AUTO_KEY):
        return False
    return not model.key or theory.read_key(config.key)[1] not in LEARNT_SCALES


def _seeds(config: GenerationConfig, num_rows: int) -> np.ndarray:
    """int32 [row, 2]: the seed, and a number for the piece and its row."""
    piece, row = np.divmod(np.arange(num_rows), num_rows // config.num_pieces)
    second = piece + MAX_PIECES * row
    return np.stack([np.full_like(second, config.seed), second], 1).astype(np.int32)


def _tiled(values: Any, num_rows: int) -> np.ndarray:
    return np.broadcast_to(values, (num_rows, *np.shape(values)))


def _steps_of_bars(bar_position: np.ndarray, bars: tuple[int, ...]) -> np.ndarray:
    """The step at which each bar starts; bar 0 contains the first step."""
    edges = bars_lib.bar_edges(bar_position)
    return edges[np.minimum(bars, len(edges) - 1)]


def style_schedule(text: str, config: ModelConfig) -> list[tuple[int, np.ndarray]]:
    """Reads a style that may change along the piece.

    Args:
        text: one style or mixture, or several with their first bars, separated by
            semicolons: `0: bach; 16: monteverdi`. Commas also separate if every part
            begins with a bar.
        config: the model's configuration.

    Returns:
        (bar, float32 [styles]) of each part, by bar, the first at bar 0.

    Raises:
        InputError: If the first bar is not 0; see also `style_vector`.

    Example:
        >>> model = ModelConfig(styles=("bach", "monk"), style_shares=(0.5, 0.5))
        >>> [(bar, v.tolist()) for bar, v in style_schedule("0:bach, 8:monk", model)]
        [(0, [1.0, 0.0]), (8, [0.0, 1.0])]
    """
    separator = ";" if ";" in text else ","
    parts = [part.partition(":") for part in text.split(separator)]
    by_bars = all(bar.strip().isdecimal() and style for bar, _, style in parts)
    # A style may be called 2004: without a semicolon "2004:1" is its weight.
    names = [config.style_number(name.strip()) for name, _, _ in parts]
    mixture = separator == "," and None not in names
    if mixture or not by_bars:
        return [(0, style_vector(text, config))]
    schedule = [
        (int(bar), style_vector(style.strip(), config)) for bar, _, style in parts
    ]
    schedule.sort(key=lambda part: part[0])
    if schedule[0][0] != 0:
        raise InputError(f"style must begin at bar 0, got {text!r}.")
    return schedule


def unknown_style(name: str, config: ModelConfig) -> InputError:
    """The error for a style that the model does not have."""
    line = f"The model has no style {name!r}; it has {', '.join(config.styles)}."
    others = ", ".join(pretrained.knowing(name))
    hint = f" A pretrained model has it: {others}." if others else ""
    return InputError(line + hint)


def style_vector(text: str, config: ModelConfig) -> np.ndarray:
    """Reads a style or a mixture.

    Args:
        text: such as `bach` or `bach:3, monteverdi:1`; empty: the training shares.
        config: the model's configuration.

    Returns:
        float32 [styles], adding up to 1.

    Raises:
        InputError: If the model does not have a style, or a weight is not a number.
    """
    if not text.strip():
        shares = np.array(config.style_shares, np.float32)
        return shares / shares.sum()
    vector = np.zeros(len(config.styles), np.float32)
    for part in text.split(","):
        name, colon, weight = part.strip().partition(":")
        number = config.style_number(name)
        if number is None:
            raise unknown_style(name, config)
        vector[number] += _weight(weight, part) if colon else 1.0
    if vector.sum() <= 0:
        raise InputError(f"The weights of style must add up to more than 0: {text!r}.")
    return vector / vector.sum()


def _weight(text: str, part: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (weight := float(text)) < math.inf:
            return weight
    raise InputError(f"A style's weight must be a number from 0 up, got {part!r}.")
