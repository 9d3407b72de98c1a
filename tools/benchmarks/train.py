"""Training steps of each preset at its published size, against the machine's peak.

The share of the peak counts the arithmetic of the LSTMs', convolutions', attentions'
and dense layers' matrix products only, three times (forward, and twice that backward),
over the same machine's rate on one large product, measured in the same run.
"""

import json
import subprocess
import sys
import time

PRESETS = ("tp_lstm_nade", "biaxial", "deepj", "poph", "poph2")


def run(quick=False):
    """Each preset in a process of its own, so that peak memory is its own."""
    figures = {}
    for name in PRESETS:
        command = [sys.executable, __file__, name, "1" if quick else "3"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        figures[name] = json.loads(result.stdout.splitlines()[-1])
    return figures


def measure(name, repetitions, batch_size=16, window_steps=128):
    """Figures of one preset, in this process."""
    import keras
    import tensorflow as tf

    from poph_tf import config, models
    from poph_tf.stepping import TrainStep

    model = models.build(config.preset(name))
    optimizer = keras.optimizers.Nadam(1e-3)
    optimizer.build(model.trainable_variables)
    step = TrainStep(model, optimizer, tf.distribute.get_strategy())
    batch = random_batch(model.config, batch_size, window_steps)
    step.run(batch)
    peaks, seconds = [matmul_peak()], []
    for _ in range(repetitions):
        start = time.perf_counter()
        float(step.run(batch)["loss"])
        seconds.append(time.perf_counter() - start)
        peaks.append(matmul_peak())
    best = min(seconds)
    flops = 3 * products(model.config) * batch_size * window_steps
    return {
        "time_steps_per_second": batch_size * window_steps / best,
        "share_of_matmul_peak": flops / best / max(peaks),
        "peak_memory_mb": peak_memory_mb(),
        "seconds_per_step": best,
        "parameters": model.count_params(),
        "matmul_peak_gflops": max(peaks) / 1e9,
    }


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


def products(config):
    """Operations of the forward matrix products of one time step of one piece."""
    pitches = config.num_pitches
    channels = 1 + config.replay + config.volume
    width = _features(config, channels)
    total = 0
    if config.note_features == "convolution":
        total += 2 * config.octave_width * channels * config.octave_filters
    if config.pitch_attention == "before_time":
        inner = config.num_heads * config.head_units
        total += 2 * width * 4 * inner + 4 * pitches * inner
    for _ in range(config.num_time_layers):
        total += 8 * config.num_time_units * (width + config.num_time_units)
        width = config.num_time_units
    if config.pitch_model == "nade":
        seen = (config.window_width // 2) * channels + 12
        total += 2 * config.num_pitch_units * (width + seen)
        width += config.num_pitch_units
    else:
        width += channels
        for _ in range(config.num_pitch_layers):
            total += 8 * config.num_pitch_units * (width + config.num_pitch_units)
            width = config.num_pitch_units
    return (total + 2 * width * channels) * pitches


def _features(config, channels):
    if config.note_features == "convolution":
        near = config.octave_filters + 12
    else:
        near = config.window_width * channels
    counts = 1 if config.class_counts == "own" else 12
    return near + 1 + counts + config.bar_positions


def matmul_peak(size=2048, repetitions=4):
    """Operations per second of one large float32 product, the best of a few."""
    import tensorflow as tf

    a = tf.random.stateless_normal((size, size), (1, 2))
    best = 0.0
    for _ in range(repetitions):
        start = time.perf_counter()
        tf.matmul(a, a).numpy()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def peak_memory_mb():
    """Peak resident memory of this process."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    import os
    import pathlib

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
