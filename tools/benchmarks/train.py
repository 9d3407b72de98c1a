"""Training steps of each preset at its published size, compared with the peak rate.

The share of the peak counts only the matrix products of LSTMs, convolutions, attention
and dense layers, three times (forward, and twice that backward), divided by the
machine's rate on one large product in the same run. The LSTMs are also timed alone:
Keras layers with the same shapes, forward and backward, with nothing around them.
Everything is sliced like training batches, see `poph_tf/models/slices.py`. In addition
to the step of 16 windows of 128 steps, some presets take a step with half the windows,
one with half the length (twice the work should take twice the time, and not more
memory), and one without slices. `poph3` has the four voices of a chorale, none given.
"""

import json
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

PRESETS = ("tp_lstm_nade", "biaxial", "deepj", "poph", "poph2", "poph3")
BATCH_SIZE, WINDOW_STEPS = 16, 128
# Presets for which growth and the gain from slices are measured.
GROWING = ("deepj", "poph2")
# Attention along pitch and along time: steps per window, windows per batch.
AXIAL, AXIAL_STEPS, AXIAL_BATCH = "poph_with_time_attention", 256, 4


def run(quick: bool = False) -> dict[str, Any]:
    """Measures each preset in its own process, to get its own peak memory."""
    figures = {}
    for name in PRESETS:
        whole = figures[name] = _in_process(name, BATCH_SIZE, WINDOW_STEPS, quick)
        if name in GROWING:
            fewer = _in_process(name, BATCH_SIZE // 2, WINDOW_STEPS, quick)
            shorter = _in_process(name, BATCH_SIZE, WINDOW_STEPS // 2, quick)
            uncut = _in_process(name, BATCH_SIZE, WINDOW_STEPS, quick, slices=1)
            gain = uncut["seconds_per_step"] / whole["seconds_per_step"]
            whole |= {
                "growth_with_batch": growth(fewer, whole),
                "growth_with_window": growth(shorter, whole),
                "without_slices": uncut,
                "speed_by_slices": gain,
            }
    figures[AXIAL] = _in_process(AXIAL, AXIAL_BATCH, AXIAL_STEPS, quick)
    return figures


def growth(half: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """How time and memory grow when the work doubles."""
    return {
        "batch_size": [half["batch_size"], whole["batch_size"]],
        "window_steps": [half["window_steps"], whole["window_steps"]],
        "seconds_ratio": whole["seconds_per_step"] / half["seconds_per_step"],
        "memory_ratio": whole["peak_memory_mb"] / half["peak_memory_mb"],
    }


def _in_process(
    name: str, batch_size: int, window_steps: int, quick: bool, slices: int = 0
) -> dict[str, Any]:
    words = (name, 1 if quick else 3, batch_size, window_steps, slices)
    command = [sys.executable, __file__, *map(str, words)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def measure(
    name: str, repetitions: int, batch_size: int, window_steps: int, slices: int = 0
) -> dict[str, Any]:
    """Measures one preset in this process; 0 slices: as many as in training."""
    from poph_tf import models
    from poph_tf.models import slices as slices_lib

    slices = slices or slices_lib.prepare(batch_size)
    axial = {"time_attention": "per_pitch", "time_attention_steps": AXIAL_STEPS}
    model = models.build(settings("poph", **axial) if name == AXIAL else settings(name))
    batch = random_batch(model.config, batch_size, window_steps)
    best, peak = step_seconds(model, batch, repetitions, slices)
    # Read before the LSTMs alone take additional memory.
    memory = peak_memory_mb()
    num_steps = batch_size * window_steps
    flops = 3 * products(model, window_steps) * num_steps
    shapes = list(lstm_shapes(model, batch_size, window_steps))
    alone = sum(lstm_seconds(shape, repetitions, slices) for shape in shapes)
    alone_flops = 3 * sum(r * p * 8 * u * (w + u) for r, p, w, u in shapes)
    return {
        "time_steps_per_second": num_steps / best,
        "share_of_matmul_peak": flops / best / peak,
        "lstms_alone_share_of_step": alone / best,
        "lstms_alone_share_of_peak": alone_flops / alone / peak,
        "seconds_per_step": best,
        "batch_size": batch_size,
        "window_steps": window_steps,
        "matmul_peak_gflops": peak / 1e9,
        "peak_memory_mb": memory,
        "slices": slices,
        "parameters": model.count_params(),
    }


def settings(name: str, **fields: Any) -> Any:
    """The settings of a preset, with tracks if it needs them."""
    from poph_tf import config
    from poph_tf.config.tracks import CHOIR

    tracks = {"tracks": CHOIR} if name == "poph3" else {}
    return config.preset(name, **tracks, **fields)


def step_seconds(
    model: Any, batch: dict[str, Any], repetitions: int, slices: int
) -> tuple[float, float]:
    """Seconds of the fastest training step, and the peak, measured alternately."""
    import keras
    import tensorflow as tf

    from poph_tf.training.train_step import TrainStep

    optimizer = keras.optimizers.Nadam(1e-3)
    optimizer.build(model.trainable_variables)
    step = TrainStep(model, optimizer, tf.distribute.get_strategy(), slices=slices)
    step.run(batch)
    peaks, seconds = [matmul_peak(slices)], []
    for _ in range(repetitions):
        seconds.append(fastest(lambda: step.run(batch)["loss"], 1))
        peaks.append(matmul_peak(slices))
    return min(seconds), max(peaks)


def lstm_shapes(
    model: Any, batch_size: int, window_steps: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yields (rows, sequence length, features, units) of each LSTM of a model."""
    from poph_tf.models.layers import AxisLSTM, LookAhead

    pitches = model.config.num_pitches
    for layer in model.layers:
        layer = layer.lstm if isinstance(layer, LookAhead) else layer
        if isinstance(layer, AxisLSTM):
            width, units = layer.lstm.cell.kernel.shape[0], layer.units
            if layer.axis == "time":
                yield batch_size * pitches, window_steps, width, units
            else:
                yield batch_size * window_steps, pitches, width, units


def lstm_seconds(shape: tuple[int, ...], repetitions: int, slices: int = 1) -> float:
    """Seconds of one LSTM alone with gradients, for a shape of `lstm_shapes`."""
    import keras
    import tensorflow as tf

    rows, places, width, units = shape
    layer = keras.layers.LSTM(units, return_sequences=True)
    layer.build((None, None, width))
    # Time-major, as inside the layer: its own transpositions are undone.
    x = tf.random.stateless_normal((places, rows, width), (3, 4))

    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            parts = [tf.transpose(part, (1, 0, 2)) for part in tf.split(x, slices, 1)]
            outs = [tf.transpose(layer(part), (1, 0, 2)) for part in parts]
            loss = tf.add_n([tf.reduce_sum(out) for out in outs])
        gradients = tape.gradient(loss, [x, *layer.trainable_variables])
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    step(x)
    return fastest(lambda: step(x), repetitions)


def random_batch(config: Any, batch_size: int, window_steps: int) -> dict[str, Any]:
    """A batch of noise with about as many notes as music has."""
    import tensorflow as tf

    tracks = (len(config.tracks),) * bool(config.tracks)
    shape = (batch_size, window_steps + 1, *tracks, config.num_pitches, 3)
    frames = tf.cast(tf.random.stateless_uniform(shape, (0, 0)) < 0.08, tf.float32)
    if tracks:  # A voice has one note at a time.
        frames *= tf.cast(tf.cumsum(frames[..., :1], axis=-2) <= 1, tf.float32)
    return {
        "previous": frames[:, :-1],
        "current": frames[:, 1:],
        "bar_position": tf.zeros((batch_size, window_steps), tf.int32),
        "style": tf.ones((batch_size, len(config.styles))) / len(config.styles),
        "mask": tf.ones((batch_size, window_steps)),
    }


def products(model: Any, window_steps: int) -> int:
    """Operations of the forward matrix products for one time step of one piece.

    Weights count once per pitch, in some layers also per voice, those of attention by
    frames once per step; styles, once per piece, are left out. Tracks must be voices.
    """
    from poph_tf.models.layers import PitchAttention, VoiceLeading

    config, pitches = model.config, model.config.num_pitches
    voices = len(config.tracks) or 1
    inner = config.num_heads * config.head_units
    total = 0
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel") and "style" not in variable.path:
            by_frame = "frame_attention" in variable.path
            by_voice = variable.path.startswith(("voice/", "heads/"))
            places = 1 if by_frame else pitches * (voices if by_voice else 1)
            total += 2 * variable.shape.num_elements() * places
        if variable.path == "frame_attention/key/kernel":
            # Two means over pitches, products of queries and keys, two recalled values.
            total += 2 * pitches * variable.shape[0] + 2 * window_steps * inner
            total += 4 * window_steps * config.num_heads * pitches * voices
    for layer in model.layers:
        if isinstance(layer, PitchAttention):
            total += 4 * pitches * inner * pitches
        if isinstance(layer, VoiceLeading):
            # The rows of the intervals, multiplied by how they change at each pitch.
            intervals, width = layer.table.shape
            total += 2 * len(layer.others) * width * (intervals + pitches)
    if config.time_attention == "per_pitch":
        total += 4 * window_steps * inner * pitches
    return total


def matmul_peak(slices: int = 1, size: int = 2048, repetitions: int = 4) -> float:
    """Operations per second of large float32 products, one for each slice."""
    import tensorflow as tf

    many = tf.random.stateless_normal((slices, size, size), (1, 2))

    @tf.function
    def multiply() -> tf.Tensor:
        return tf.add_n([tf.matmul(part, part)[0, 0] for part in tf.unstack(many)])

    multiply()
    return slices * 2 * size**3 / fastest(multiply, repetitions)


def fastest(work: Callable[[], Any], repetitions: int) -> float:
    """Seconds of the fastest call of a function that returns a scalar tensor."""
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        float(work())
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peak_memory_mb() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    from poph_tf.cli.quiet import import_tensorflow

    import_tensorflow()
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))))
