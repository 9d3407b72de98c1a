"""Training steps of each preset at its published size, against the machine's peak.

The share of the peak counts the arithmetic of the LSTMs', convolutions', attentions'
and dense layers' matrix products only, three times (forward, and twice that backward),
over the same machine's rate on one large product, measured in the same run. Where the
rest goes is seen by the model's LSTMs alone: Keras layers of the same shapes, forward
and backward, with nothing around them. All of it is cut in slices as batches of
training are, see `poph_tf.cores`. Beside the step of 16 windows of 128 steps, some
presets take one of half the windows and one of half the length (twice the work should
take twice the time, and not more memory), and one that is not cut.
"""

import json
import subprocess
import sys
import time

PRESETS = ("tp_lstm_nade", "biaxial", "deepj", "poph", "poph2")


BATCH_SIZE, WINDOW_STEPS = 16, 128
# Presets whose growth is measured, and what slices are worth.
GROWING = ("deepj", "poph2")
# Attention along pitch and along time, which is what stands for the whole plane: the
# steps of its window, and how many windows are trained at once.
AXIAL, AXIAL_STEPS, AXIAL_BATCH = "poph_with_time_attention", 256, 4


def run(quick=False):
    """Each measurement in a process of its own, so that peak memory is its own."""
    figures = {}
    for name in PRESETS:
        whole = _in_process(name, BATCH_SIZE, WINDOW_STEPS, quick)
        if name in GROWING:
            fewer = _in_process(name, BATCH_SIZE // 2, WINDOW_STEPS, quick)
            shorter = _in_process(name, BATCH_SIZE, WINDOW_STEPS // 2, quick)
            whole["growth_with_batch"] = growth(fewer, whole)
            whole["growth_with_window"] = growth(shorter, whole)
            uncut = _in_process(name, BATCH_SIZE, WINDOW_STEPS, quick, slices=1)
            whole["without_slices"] = uncut
            whole["speed_by_slices"] = (
                uncut["seconds_per_step"] / whole["seconds_per_step"]
            )
        figures[name] = whole
    figures[AXIAL] = _in_process(AXIAL, AXIAL_BATCH, AXIAL_STEPS, quick)
    return figures


def model_config(name):
    """ModelConfig of a preset, or of `AXIAL`."""
    from poph_tf import config

    if name != AXIAL:
        return config.preset(name)
    along_time = {"time_attention": "per_pitch", "time_attention_steps": AXIAL_STEPS}
    return config.preset("poph", **along_time)


def growth(half, whole):
    """By how much time and memory grow when the work is doubled."""
    return {
        "batch_size": [half["batch_size"], whole["batch_size"]],
        "window_steps": [half["window_steps"], whole["window_steps"]],
        "seconds_ratio": whole["seconds_per_step"] / half["seconds_per_step"],
        "memory_ratio": whole["peak_memory_mb"] / half["peak_memory_mb"],
    }


def _in_process(name, batch_size, window_steps, quick, slices=0):
    repetitions = 1 if quick else 3
    words = [name, repetitions, batch_size, window_steps, slices]
    command = [sys.executable, __file__, *map(str, words)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def measure(
    name, repetitions, batch_size=BATCH_SIZE, window_steps=WINDOW_STEPS, slices=0
):
    """Figures of one preset, in this process; 0 slices: as `cores` has them."""
    import keras
    import tensorflow as tf

    from poph_tf import models
    from poph_tf.models import slices as slices_lib
    from poph_tf.training.train_step import TrainStep

    slices = slices or slices_lib.prepare(batch_size)
    model = models.build(model_config(name))
    optimizer = keras.optimizers.Nadam(1e-3)
    optimizer.build(model.trainable_variables)
    strategy = tf.distribute.get_strategy()
    step = TrainStep(model, optimizer, strategy, slices=slices)
    batch = random_batch(model.config, batch_size, window_steps)
    step.run(batch)
    peaks, seconds = [matmul_peak(slices)], []
    for _ in range(repetitions):
        start = time.perf_counter()
        float(step.run(batch)["loss"])
        seconds.append(time.perf_counter() - start)
        peaks.append(matmul_peak(slices))
    # Before the LSTMs alone need memory of their own.
    memory = peak_memory_mb()
    shapes = (model.config, batch_size, window_steps)
    alone = lstms_alone(*shapes, repetitions, slices)
    return shares(*shapes, min(seconds), alone, max(peaks)) | {
        "peak_memory_mb": memory,
        "slices": slices,
        "parameters": model.count_params(),
    }


def shares(config, batch_size, window_steps, seconds, alone, peak):
    """What a step of so many seconds is worth beside its LSTMs alone and the peak."""
    num_steps = batch_size * window_steps
    flops = 3 * products(config, window_steps) * num_steps
    return {
        "time_steps_per_second": num_steps / seconds,
        "share_of_matmul_peak": flops / seconds / peak,
        "lstms_alone_share_of_step": alone["seconds"] / seconds,
        "lstms_alone_share_of_peak": alone["flops"] / alone["seconds"] / peak,
        "seconds_per_step": seconds,
        "batch_size": batch_size,
        "window_steps": window_steps,
        "matmul_peak_gflops": peak / 1e9,
    }


def lstms_alone(config, batch_size, window_steps, repetitions, slices=1):
    """Seconds and operations of a model's LSTMs by themselves, gradients included."""
    figures = {"seconds": 0.0, "flops": 0.0}
    for shape in lstm_shapes(config, batch_size, window_steps):
        rows, places, width, units = shape
        figures["seconds"] += _lstm_seconds(shape, repetitions, slices)
        figures["flops"] += 3 * rows * places * 8 * units * (width + units)
    return figures


def lstm_shapes(config, batch_size, window_steps):
    """(rows, places to walk along, features, units) of each LSTM of a model."""
    channels = 1 + config.replay + config.volume
    width, shapes = _features(config, channels), []
    for _ in range(config.num_time_layers):
        rows = batch_size * config.num_pitches
        shapes.append((rows, window_steps, width, config.num_time_units))
        width = config.num_time_units
    if config.pitch_model == "nade" or config.pitch_attention == "in_place_of_pitch":
        return shapes
    width += 2 * config.num_heads if config.time_attention == "frames" else 0
    width += _chosen(config.chosen_notes, config, channels)
    for _ in range(config.num_pitch_layers):
        rows = batch_size * window_steps
        shapes.append((rows, config.num_pitches, width, config.num_pitch_units))
        width = config.num_pitch_units
    return shapes


def _lstm_seconds(shape, repetitions, slices):
    import keras
    import tensorflow as tf

    rows, places, width, units = shape
    layer = keras.layers.LSTM(units, return_sequences=True)
    layer.build((None, None, width))
    # Places first, as inside the layer: its own turns are undone, and left out.
    x = tf.random.stateless_normal((places, rows, width), (3, 4))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            parts = [tf.transpose(part, (1, 0, 2)) for part in tf.split(x, slices, 1)]
            outs = [tf.transpose(layer(part), (1, 0, 2)) for part in parts]
            loss = tf.add_n([tf.reduce_sum(out) for out in outs])
        gradients = tape.gradient(loss, [x, *layer.trainable_variables])
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    step(x)
    best = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        float(step(x))
        best = min(best, time.perf_counter() - start)
    return best


def random_batch(config, batch_size, window_steps):
    """A batch of noise with about as many notes as music."""
    import tensorflow as tf

    shape = (batch_size, window_steps + 1, config.num_pitches, 3)
    frames = tf.cast(tf.random.stateless_uniform(shape, (0, 0)) < 0.08, tf.float32)
    return {
        "previous": frames[:, :-1],
        "current": frames[:, 1:],
        "bar_position": tf.zeros((batch_size, window_steps), tf.int32),
        "style": tf.ones((batch_size, len(config.styles))) / len(config.styles),
        "mask": tf.ones((batch_size, window_steps)),
    }


def products(config, window_steps=WINDOW_STEPS):
    """Operations of the forward matrix products of one time step of one piece."""
    pitches = config.num_pitches
    channels = 1 + config.replay + config.volume
    width = _features(config, channels)
    inner = config.num_heads * config.head_units
    total = 0
    if config.note_features == "convolution":
        total += 2 * config.octave_width * channels * config.octave_filters
    if config.pitch_attention == "before_time":
        total += 2 * width * 4 * inner + 4 * pitches * inner
    for _ in range(config.num_time_layers):
        total += 8 * config.num_time_units * (width + config.num_time_units)
        width = config.num_time_units
    if config.time_attention == "per_pitch":
        total += 2 * width * 4 * inner + 4 * window_steps * inner
    once = 0
    if config.time_attention == "frames":
        # Two pooled means, queries and keys of both, matches, two values recalled.
        once += 4 * pitches * width + 8 * width * inner + 2 * window_steps * inner
        total += 4 * window_steps * config.num_heads
        width += 2 * config.num_heads
    total += _pitch_products(config, width, channels, inner)
    return total * pitches + once


def _pitch_products(config, width, channels, inner):
    """Of the pitch axis and the heads, for one pitch."""
    total, units = 0, config.num_pitch_units
    if config.pitch_model == "nade":
        total += 2 * units * (width + _chosen("window", config, channels))
        width += units
    elif config.pitch_attention == "in_place_of_pitch":
        total += 2 * units * (width + _chosen(config.chosen_notes, config, channels))
        width = units
    else:
        width += _chosen(config.chosen_notes, config, channels)
        for _ in range(config.num_pitch_layers):
            total += 8 * units * (width + units)
            width = units
    if config.pitch_attention in ("after_pitch", "in_place_of_pitch"):
        total += 2 * width * 4 * inner + 4 * config.num_pitches * inner
    return total + 2 * width * channels


def _chosen(kind, config, channels):
    return channels if kind == "note" else config.window_width // 2 * channels + 12


def _features(config, channels):
    if config.note_features == "convolution":
        near = config.octave_filters + 12
    else:
        near = config.window_width * channels
    counts = 1 if config.class_counts == "own" else 12
    return near + 1 + counts + config.bar_positions


def matmul_peak(slices=1, size=2048, repetitions=4):
    """Operations per second of large float32 products, one a slice; the best of few."""
    import tensorflow as tf

    many = tf.random.stateless_normal((slices, size, size), (1, 2))

    @tf.function
    def multiply(many):
        parts = tf.unstack(many)
        return tf.add_n([tf.matmul(part, part)[0, 0] for part in parts])

    multiply(many).numpy()
    best = 0.0
    for _ in range(repetitions):
        start = time.perf_counter()
        multiply(many).numpy()
        best = max(best, slices * 2 * size**3 / (time.perf_counter() - start))
    return best


def peak_memory_mb():
    """Peak resident memory of this process."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    import pathlib

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    from poph_tf.cli.quiet import import_tensorflow

    import_tensorflow()
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))))
