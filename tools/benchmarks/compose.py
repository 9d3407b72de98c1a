"""Composing at DeepJ's size, against recomputing a window for every step.

The baseline is the ancestors' way, compiled: for every step the time axis over a
window of 128, and the whole pitch axis once for each of 48 pitches.
"""

import time

WINDOW = 128
TEMPO_QPM = 120.0
STEPS_PER_QUARTER = 4


def run(quick=False):
    import tensorflow as tf

    from benchmarks.train import peak_memory_mb
    from poph_tf import config, models
    from poph_tf.generation import engine

    model = models.build(config.preset("deepj"))
    first_bar = seconds_to_compose_one_bar(engine.Engine(model))
    plain = engine.Engine(model, jit_compile=False)
    plain_first = seconds_to_compose_one_bar(plain)
    plain_rate = steps_per_second(plain, 1, 8 if quick else 32)
    rates, compiled_first = {}, None
    for pieces in (1, 4) if quick else (1, 4, 16, 64):
        composer = engine.Engine(model, jit_compile=True)
        seconds = seconds_to_compose_one_bar(composer, pieces)
        compiled_first = compiled_first or seconds
        rates[str(pieces)] = steps_per_second(composer, pieces, 8 if quick else 32)
    baseline = recompute_steps_per_second(tf, model, 4 if quick else 16)
    composer = engine.Engine(model, jit_compile=True)
    early, late = cost_by_bar(composer, 100 if quick else 1000)
    music = rates["1"] * 60.0 / TEMPO_QPM / STEPS_PER_QUARTER
    return {
        "steps_per_second": rates,
        "window_recompute_steps_per_second": baseline,
        "ratio_to_window_recompute": rates["1"] / baseline,
        "seconds_of_music_per_second": music,
        "seconds_to_first_bar": first_bar,
        # What XLA costs and gains: generation.COMPILE_FROM_STEPS goes by it.
        "plain_steps_per_second_1_piece": plain_rate,
        "compile_seconds_1_piece": compiled_first - plain_first,
        "compiling_pays_from_steps": (compiled_first - plain_first)
        / (1 / plain_rate - 1 / rates["1"]),
        "cost_ratio_bar_1000_to_bar_1": late / early,
        "peak_memory_mb": peak_memory_mb(),
    }


def seconds_to_compose_one_bar(composer, pieces=1):
    """The first call: tracing and compiling, and a bar."""
    from poph_tf.config import GenerationConfig

    start = time.perf_counter()
    composer.compose(GenerationConfig(num_pieces=pieces, num_bars=1))
    return time.perf_counter() - start


def steps_per_second(composer, pieces, bars, repetitions=3):
    """Steps of each piece per second, compiled already; the best of a few."""
    from poph_tf.config import GenerationConfig

    best = 0.0
    for _ in range(repetitions):
        start = time.perf_counter()
        composer.compose(GenerationConfig(num_pieces=pieces, num_bars=bars))
        best = max(best, bars * 16 / (time.perf_counter() - start))
    return best


def recompute_steps_per_second(tf, model, steps):
    """Steps per second of the ancestors' way, for one piece."""
    network, pitches = model.network, model.config.num_pitches
    style = tf.ones((1, len(model.config.styles))) / len(model.config.styles)

    # In plain graph mode: XLA makes LSTMs over a window slower, not quicker.
    @tf.function
    def step(frames):
        inputs = {
            "previous": frames,
            "bar_position": tf.range(WINDOW)[None] % 16,
            "style": style,
        }
        hidden = network.time_axis(inputs)[0][-1:]
        frame = tf.zeros((1, 1, pitches, 3))

        def draw(pitch, frame):
            heads = network.pitch_axis(hidden, {"current": frame, "style": style})
            play = tf.sigmoid(heads["play"][0, 0, pitch]) > tf.random.uniform(())
            cell = tf.stack([tf.cast(play, tf.float32), 0.0, 0.5])
            place = [[0, 0, pitch]]
            return pitch + 1, tf.tensor_scatter_nd_update(frame, place, [cell])

        _, frame = tf.while_loop(lambda pitch, _: pitch < pitches, draw, (0, frame))
        return tf.concat([frames[:, 1:], frame], axis=1)

    frames = step(tf.zeros((1, WINDOW, pitches, 3)))
    start = time.perf_counter()
    for _ in range(steps):
        frames = step(frames)
    frames.numpy()
    return steps / (time.perf_counter() - start)


def cost_by_bar(composer, bars):
    """Seconds of a chunk at the start and after `bars` bars: medians of nine."""
    from poph_tf.config import GenerationConfig

    wishes = GenerationConfig(num_pieces=1, num_bars=bars + 64)
    times, last = [], time.perf_counter()
    for _ in composer.stream(wishes.resolve(composer.model)):
        now = time.perf_counter()
        times.append(now - last)
        last = now
    times = times[1:]  # the first holds the compiling
    return sorted(times[:9])[4], sorted(times[-9:])[4]
