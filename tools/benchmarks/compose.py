"""Composing with random weights, compared with recomputing a window for every step.

The baseline composes like earlier models, but compiled: for every step, it runs the
time axis over a window of 128 steps, and the whole pitch axis once for each pitch (of
each track). The same network converted to LiteRT is also measured, on all cores.
"""

import pathlib
import tempfile
import time
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from benchmarks import presets
from benchmarks.train import matmul_peak, peak_memory_mb, products, settings
from poph_tf import models
from poph_tf.config import GenerationConfig
from poph_tf.generation.base_engine import BaseEngine
from poph_tf.generation.engine import Engine
from poph_tf.generation.light_engine import LightEngine
from poph_tf.models.polyphony_model import PolyphonyModel

WINDOW = 128
BAR_STEPS = 16
TEMPO_QPM = 120.0
STEPS_PER_QUARTER = 4
REPETITIONS = 3
AnyEngine = BaseEngine[Any, Any]


def run(quick: bool = False, preset: str = "deepj") -> dict[str, Any]:
    """Measures composing, by number of pieces."""
    model = models.build(settings(preset))
    bars = 8 if quick else 32
    first_bar = seconds_to_compose(Engine(model), 1, 1)
    plain = Engine(model, jit_compile=False)
    plain_first = seconds_to_compose(plain, 1, 1)
    plain_rate = steps_per_second(plain, 1, bars)
    rates, first = {}, {}
    for pieces in (1, 4) if quick else (1, 4, 16, 64):
        engine = Engine(model, jit_compile=True)
        first[pieces] = seconds_to_compose(engine, pieces, 1)
        rates[str(pieces)] = steps_per_second(engine, pieces, bars)
    baseline = recompute_steps_per_second(model, 4 if quick else 16)
    early, late = cost_by_bar(Engine(model, jit_compile=True), 100 if quick else 1000)
    compile_seconds = first[1] - plain_first
    most = matmul_peak() / products(model, model.config.time_attention_steps)
    return {
        "preset": preset,
        "steps_per_second": rates,
        # Share of the steps per second that its products alone would allow at the peak.
        "share_of_matmul_peak": {n: int(n) * rate / most for n, rate in rates.items()},
        "converted_steps_per_second": converted_rates(preset, rates, bars),
        "window_recompute_steps_per_second": baseline,
        "ratio_to_window_recompute": rates["1"] / baseline,
        "seconds_of_music_per_second": rates["1"] * 60 / TEMPO_QPM / STEPS_PER_QUARTER,
        "seconds_to_first_bar": first_bar,
        # engine.COMPILE_FROM_STEPS follows from the cost and gain of XLA.
        "plain_steps_per_second_1_piece": plain_rate,
        "compile_seconds_1_piece": compile_seconds,
        "compiling_pays_from_steps": compile_seconds
        / (1 / plain_rate - 1 / rates["1"]),
        "cost_ratio_bar_1000_to_bar_1": late / early,
        "peak_memory_mb": peak_memory_mb(),
    }


def converted_rates(preset: str, numbers: Iterable[str], bars: int) -> dict[str, float]:
    """`steps_per_second` of the model converted to LiteRT, by number of pieces."""
    with tempfile.TemporaryDirectory() as folder:
        engine = LightEngine(presets.converted(preset, pathlib.Path(folder)))
        return {n: steps_per_second(engine, int(n), bars) for n in numbers}


def seconds_to_compose(engine: AnyEngine, pieces: int, bars: int) -> float:
    """Times one call; the first call of an engine includes tracing and compiling."""
    start = time.perf_counter()
    engine.compose(GenerationConfig(num_pieces=pieces, num_bars=bars))
    return time.perf_counter() - start


def steps_per_second(engine: AnyEngine, pieces: int, bars: int) -> float:
    """Steps per second of each piece, without compiling; the best of a few calls."""
    seconds = min(seconds_to_compose(engine, pieces, bars) for _ in range(REPETITIONS))
    return bars * BAR_STEPS / seconds


def recompute_steps_per_second(model: PolyphonyModel, steps: int) -> float:
    """Steps per second of the baseline, for one piece."""
    network, config = model.network, model.config
    grid = (len(config.tracks), config.num_pitches)[not config.tracks :]
    style = tf.ones((1, len(config.styles))) / len(config.styles)
    draw = _draw_voice if config.tracks else _draw_pitch

    # In plain graph mode, since XLA makes LSTMs over a window slower.
    @tf.function(autograph=False)
    def step(frames: tf.Tensor) -> tf.Tensor:
        inputs = {
            "previous": frames,
            "current": frames,  # Nothing is given, so its notes are not read.
            "bar_position": tf.range(WINDOW)[None] % BAR_STEPS,
            "style": style,
        }
        hidden = network.time_axis(inputs)[0][-1:]

        def draw_next(place: tf.Tensor, frame: tf.Tensor) -> tuple[Any, tf.Tensor]:
            known = {"current": frame, "previous": frames[:, -1:], "style": style}
            play = network.pitch_axis(hidden, known)["play"][0, 0]
            return place + 1, draw(play, place, frame)

        frame = tf.zeros((1, 1, *grid, 3))
        _, frame = tf.while_loop(lambda i, _: i < grid[0], draw_next, (0, frame))
        return tf.concat([frames[:, 1:], frame], axis=1)

    frames = step(tf.zeros((1, WINDOW, *grid, 3)))
    start = time.perf_counter()
    for _ in range(steps):
        frames = step(frames)
    frames.numpy()
    return steps / (time.perf_counter() - start)


def _draw_pitch(play: tf.Tensor, pitch: tf.Tensor, frame: tf.Tensor) -> tf.Tensor:
    """Draws a pitch of float [1, 1, pitch, 3] from its logit."""
    sounds = tf.cast(tf.sigmoid(play[pitch]) > tf.random.uniform(()), tf.float32)
    cell = tf.stack([sounds, 0.0, 0.5])
    return tf.tensor_scatter_nd_update(frame, [[0, 0, pitch]], [cell])


def _draw_voice(play: tf.Tensor, track: tf.Tensor, frame: tf.Tensor) -> tf.Tensor:
    """Draws a voice of float [1, 1, track, pitch, 3] from its logits; a rest has 0."""
    logits = tf.concat([play[track], [0.0]], axis=0)[None]
    note = tf.one_hot(tf.random.categorical(logits, 1)[0, 0], play.shape[-1])
    cells = tf.stack([note, tf.zeros_like(note), 0.5 * note], axis=-1)
    return tf.tensor_scatter_nd_update(frame, [[0, 0, track]], [cells])


def cost_by_bar(engine: Engine, bars: int) -> tuple[float, float]:
    """Seconds per chunk at the start and after `bars` bars: medians of nine."""
    settings = GenerationConfig(num_pieces=1, num_bars=bars + 64)
    times, last = [], time.perf_counter()
    for _ in engine.stream(settings.resolve(engine.model)):
        now = time.perf_counter()
        times.append(now - last)
        last = now
    times = times[1:]  # without the first, which includes compiling
    return sorted(times[:9])[4], sorted(times[-9:])[4]
