"""Trains the beat-finding network whose weights are included in the package.

    python tools/train_beats.py --performances=asap --scores=songs --minutes=20

`--performances` has performances of ASAP with their annotations; `--scores` has music
files with correct beats and bars, which are played with a changing tempo. Both are
transposed, stretched and played unevenly, as data augmentation. `--folds` and `--fold`
leave out the compositions of one fold, for cross-validation. `--join=a.npz,b.npz`
trains nothing and writes several networks into one file; their outputs are averaged.
"""

import dataclasses
import hashlib
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.data import notes as notes_lib
from poph_tf.data import reading
from poph_tf.data.preparation import beat_features, beat_network
from poph_tf.errors import InputError, MusicFileError
from poph_tf.evaluation import beats as beat_evaluation

if TYPE_CHECKING:
    import keras

FLAGS = flags.FLAGS
flags.DEFINE_string("performances", None, "Folder of performances with annotations.")
flags.DEFINE_string("scores", "", "Folder of music files with correct beats.")
flags.DEFINE_string("output", str(beat_network.WEIGHTS), "File for the weights.")
flags.DEFINE_integer("folds", 1, "Folds of compositions.", lower_bound=1)
flags.DEFINE_integer("fold", -1, "The fold to leave out; -1 leaves out none.")
flags.DEFINE_float("minutes", 20.0, "How long to train.", lower_bound=0.0)
flags.DEFINE_list("join", [], "Weights to write into one file.")
flags.DEFINE_integer("seed", 0, "Seed of the examples.")

_FRAMES, _BATCH = 640, 6
_SPAN = _FRAMES * beat_features.FRAME_SECONDS
_PERFORMED_SHARE = 0.55
_RATE, _LEAST_RATE, _WARMUP_STEPS = 3e-3, 0.02, 30
_LOG_STEPS = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """A piece with its beats; times in seconds, or of scores in quarters.

    Attributes:
        notes: float [note, 4]: start, end, pitch, velocity.
        beats, downbeats: float [beat].
        is_score: whether it is a score, which must be played first.
    """

    notes: np.ndarray
    beats: np.ndarray
    downbeats: np.ndarray
    is_score: bool


def read_pieces() -> tuple[list[list[Piece]], list[list[Piece]]]:
    """Performances and scores for training, by composition."""
    performances = list(beat_evaluation.read_performances(FLAGS.performances))
    if not performances:
        raise InputError("--performances must hold MIDI files with annotations.")
    folds = beat_evaluation.folds(performances, FLAGS.folds)
    left_out = {name for name, fold in folds.items() if fold == FLAGS.fold}
    by_composition: dict[str, list[Piece]] = {}
    for performance in performances:
        if performance.composition not in left_out:
            seconds = notes_lib.seconds_of(performance.notes)
            columns = _columns(performance.notes, seconds)
            found = performance.beats
            piece = Piece(columns, found.beats, found.downbeats, is_score=False)
            by_composition.setdefault(performance.composition, []).append(piece)
    return list(by_composition.values()), [[piece] for piece in _scores(left_out)]


def _scores(left_out: set[str]) -> Iterator[Piece]:
    root = pathlib.Path(FLAGS.scores)
    paths = sorted(root.rglob("*")) if FLAGS.scores else []
    for path in paths:
        inside = path.parent.relative_to(root).as_posix() in left_out
        if path.suffix.lower() not in reading.SUFFIXES or inside:
            continue
        try:
            notes = notes_lib.from_sequence(reading.read(path))
        except (MusicFileError, InputError):
            continue
        beats, downbeats = score_beats(notes)
        quarter = notes.ticks_per_quarter
        columns = _columns(notes, lambda tick, unit=quarter: tick / unit)
        if len(beats) > 16:
            yield Piece(columns, beats, downbeats, is_score=True)


def _columns(notes: notes_lib.Notes, clock: Any) -> np.ndarray:
    times = clock(notes.start_tick), clock(notes.end_tick)
    return np.stack([*times, notes.pitch, notes.velocity], axis=1).astype(np.float64)


def score_beats(notes: notes_lib.Notes) -> tuple[np.ndarray, np.ndarray]:
    """Beats and bar lines by the time signatures of a score, in quarters."""
    table = notes.time_signatures / [notes.ticks_per_quarter, 1, 1]
    ends = np.append(table[1:, 0], notes.end_tick.max() / notes.ticks_per_quarter)
    beats, lines = [], []
    for (begin, numerator, denominator), end in zip(table, ends, strict=True):
        compound = denominator >= 8 and numerator % 3 == 0 and numerator > 3
        beat = 4 / denominator * (3 if compound else 1)
        bar = 4 * numerator / denominator
        if end - begin < bar:  # An upbeat: beats count back from its end.
            beats.append(end - beat * np.arange((end - begin) // beat, 0, -1))
        else:
            beats.append(np.arange(begin, end - 1e-6, beat))
            lines.append(np.arange(begin, end - 1e-6, bar))
    empty = [np.zeros(0)]
    return np.concatenate(beats + empty), np.concatenate(lines + empty)


class Examples:
    """Draws examples for training."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._performed, self._written = read_pieces()

    def batch(self) -> list[np.ndarray]:
        """Features, targets for beats and bars, for tempo, and frame weights."""
        examples = [self._example() for _ in range(_BATCH)]
        return [np.stack(column) for column in zip(*examples, strict=True)]

    def _example(self) -> tuple[np.ndarray, ...]:
        random = self._random
        performed = random.random() < _PERFORMED_SHARE or not self._written
        group = self._performed if performed else self._written
        pieces = group[random.integers(len(group))]
        piece = pieces[random.integers(len(pieces))]
        piece = self._played(piece) if piece.is_score else piece
        stretch = np.exp(random.uniform(np.log(0.78), np.log(1.28)))
        notes = piece.notes * [stretch, stretch, 1, 1]
        beats, downbeats = piece.beats * stretch, piece.downbeats * stretch
        low = beats[0] - 2
        origin = random.uniform(low, max(beats[-1] - _SPAN + 4, low + 0.1))
        notes = self._varied(notes, origin)
        if len(notes) < 10:
            return self._example()
        start, end, pitch, velocity = notes.T
        features = beat_features.frames(start, end, pitch, velocity, origin, _FRAMES)
        return features, *targets(beats, downbeats, origin)

    def _varied(self, notes: np.ndarray, origin: float) -> np.ndarray:
        """Varies the notes around the span, as if someone else played them."""
        random = self._random
        keep = (notes[:, 1] > origin - 8) & (notes[:, 0] < origin + _SPAN + 8)
        if random.random() < 0.5:
            keep &= random.random(len(notes)) > random.uniform(0, 0.12)
        start, end, pitch, velocity = notes[keep].T
        count = len(start)
        start = start + random.normal(0, 0.004, count)
        pitch = np.clip(pitch + random.integers(-6, 7), 0, 127)
        if random.random() < 0.12:
            velocity = np.full(count, 80.0)
        else:
            velocity = velocity * random.uniform(0.7, 1.2) + random.normal(0, 4, count)
        kind = random.random()
        if kind < 0.25:
            end = start + (end - start) * random.uniform(0.4, 3)
        elif kind < 0.35:
            end = start + random.uniform(0.1, 1)
        return np.stack([start, end, pitch, velocity], axis=1)

    def _played(self, score: Piece) -> Piece:
        """Plays a score with varying tempo, articulation and loudness."""
        random = self._random
        start, end, pitch, _ = score.notes.T
        beat = float(np.median(np.diff(score.beats)))
        lead = beat * np.arange(1, 21)
        places = np.concatenate(
            [score.beats[0] - lead[::-1], score.beats, score.beats[-1] + lead]
        )
        pace = np.exp(random.normal(np.log(0.68), 0.38)) / beat  # seconds per quarter
        pace = pace * np.exp(self._drift(len(places)))
        seconds = np.concatenate([[0.0], np.cumsum(np.diff(places) * pace[:-1])])
        count, jitter = len(start), random.uniform(0.003, 0.02)
        begun = np.interp(start, places, seconds) + random.normal(0, jitter, count)
        length = (end - start) * random.uniform(0.5, 1.1)
        ended = np.maximum(np.interp(start + length, places, seconds), begun + 0.05)
        height = (pitch - pitch.mean()) / 12 * random.uniform(-2, 8)
        loud = 64 + random.normal(0, random.uniform(3, 12), count) + height
        return Piece(
            np.stack([begun, ended, pitch, np.clip(loud, 10, 127)], axis=1),
            np.interp(score.beats, places, seconds),
            np.interp(score.downbeats, places, seconds),
            is_score=False,
        )

    def _drift(self, count: int) -> np.ndarray:
        """Log tempo changes at the beats, for phrases, bars and single beats."""
        random = self._random
        drift = np.zeros(count)
        for width, size in ((16, 0.10), (5, 0.07), (1, 0.03)):
            window = np.hanning(width + 2)[1:-1]
            noise = random.normal(0, 1, count + width)
            smooth = np.convolve(noise, window / np.linalg.norm(window), "valid")
            drift += size * random.uniform(0, 1.5) * smooth[:count]
        return drift


def targets(
    beats: np.ndarray, downbeats: np.ndarray, origin: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets of the network: beats and bars, tempo, and the frame weights."""
    wanted = np.zeros((_FRAMES, 2), np.float32)
    for kind, times in enumerate((beats, downbeats)):
        frame = (times - origin) / beat_features.FRAME_SECONDS - 0.5
        for beside, value in ((-1, 0.3), (1, 0.3), (0, 1.0)):
            place = np.round(frame).astype(int) + beside
            place = place[(place >= 0) & (place < _FRAMES)]
            wanted[place, kind] = np.maximum(wanted[place, kind], value)
    time_of = origin + np.arange(_FRAMES) * beat_features.FRAME_SECONDS
    interval = np.log(np.diff(beats))
    k = (np.searchsorted(beats, time_of) - 1).clip(0, len(interval) - 1)
    kinds = np.log(beat_network.INTERVALS)
    tempo = np.abs(interval[k][:, None] - kinds).argmin(axis=1)
    counts = (time_of >= beats[0] - 0.3) & (time_of <= beats[-1] + 0.3)
    return wanted, tempo, counts.astype(np.float32)


def build() -> "keras.Model":
    """The network of `beat_network` in Keras."""
    import keras

    def convolution(width: int, units: int = beat_network.UNITS, **options: Any) -> Any:
        return keras.layers.Conv1D(units, width, padding="same", **options)

    features = keras.Input((None, beat_features.NUM_FEATURES))
    hidden = convolution(3, activation="elu")(features)
    small = keras.initializers.VarianceScaling(0.1)
    for dilation in beat_network.DILATIONS:
        wide = convolution(
            beat_network.KERNEL, dilation_rate=dilation, activation="elu"
        )
        inner = keras.layers.SpatialDropout1D(0.1)(wide(hidden))
        hidden = hidden + convolution(1, kernel_initializer=small)(inner)
    outputs = 2 + len(beat_network.INTERVALS)
    out = convolution(1, outputs)(keras.layers.Activation("elu")(hidden))
    return keras.Model(features, out)


def train(examples: Examples, minutes: float) -> "keras.Model":
    """Trains for some time, with cosine decay of the learning rate."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(FLAGS.seed)
    model = build()
    optimizer = keras.optimizers.AdamW(_RATE, weight_decay=1e-3)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step(features: Any, wanted: Any, tempo: Any, counts: Any) -> Any:
        with tf.GradientTape() as tape:
            out = model(features, training=True)
            loss = tf.nn.sigmoid_cross_entropy_with_logits(wanted, out[..., :2])
            loss = tf.reduce_sum(loss * (1 + 3 * wanted), axis=-1)
            named = tf.nn.sparse_softmax_cross_entropy_with_logits(tempo, out[..., 2:])
            total = tf.reduce_mean((loss + 0.1 * named) * counts)
        gradients = tape.gradient(total, model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return total

    begun = time.monotonic()
    losses: list[float] = []
    while (share := (time.monotonic() - begun) / (60 * max(minutes, 1e-6))) < 1:
        warm = min(1.0, (len(losses) + 1) / _WARMUP_STEPS)
        cosine = max(_LEAST_RATE, 0.5 * (1 + np.cos(np.pi * share)))
        optimizer.learning_rate.assign(_RATE * warm * cosine)
        losses.append(float(step(*map(tf.constant, examples.batch()))))
        if len(losses) % _LOG_STEPS == 0:
            print(f"step {len(losses)}: loss {np.mean(losses[-_LOG_STEPS:]):.4f}")
    return model


def main(_: Sequence[str]) -> None:
    """Trains the network and writes its weights."""
    if not FLAGS.performances and not FLAGS.join:
        raise InputError("Give --performances, or --join.")
    if FLAGS.join:
        paths = map(pathlib.Path, FLAGS.join)
        values = [value for path in paths for value in beat_network.weights(path)]
    else:
        model = train(Examples(FLAGS.seed), FLAGS.minutes)
        values = [value.numpy() for value in model.trainable_variables]
    weights = [np.float16(value) for value in values]
    np.savez(FLAGS.output, *weights)
    digest = hashlib.sha256(pathlib.Path(FLAGS.output).read_bytes()).hexdigest()
    print(f"{FLAGS.output}: {sum(w.size for w in weights):,} weights, SHA-256 {digest}")


if __name__ == "__main__":
    commands.run(main)
