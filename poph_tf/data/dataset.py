"""Reads records as batches of windows for training, or as whole pieces.

    shards -> pieces -> windows -> transposed, cropped -> batches of similar length

The stream of an epoch is a pure function of (data, settings, seed, epoch): the order
of shards, the phase at which a piece is cut, the transposition of each window and the
shuffle all derive from them. So a restarted run can skip to where it was, and an epoch
has every step of every piece exactly once.

A piece of up to `window_steps` steps is one window; a longer one is cut at a random
phase into windows of at least half of that. The first `previous` frame of a window is
the actual one; it is silence only at the start of a piece. The windows of a batch have
similar lengths, and a batch is only as long as its longest window: pieces differ in
length, and padding costs as much as music. The last batch of an epoch is padded with
windows whose mask is 0.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from poph_tf.config import SINGLE_STYLE, ModelConfig, TrainingConfig
from poph_tf.data import examples, record_graph, recovery, shards, windows
from poph_tf.errors import InputError

# Nothing here branches on a tensor, so AutoGraph has nothing to rewrite: without it an
# epoch starts sooner, and does not read this file's source again.
_as_written = tf.autograph.experimental.do_not_convert

# The windows of this many batches are sorted by length together.
POOL_BATCHES = 8
# The length of a batch is that of its longest window, rounded up to one of this many
# parts of `window_steps`: few lengths, since the training step is traced for each.
MOST_LENGTHS = 12
# Threads of the pipeline, and parallel calls in its stages.
READERS = 4
# The grid of the models: bar positions, composing and the MIDI of pieces rely on it.
STEPS_PER_QUARTER = 4
Tensors = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Stream:
    """What determines the windows of a training stream.

    Attributes:
        paths: the shards.
        model: the model's settings.
        training: the training settings.
        damaged: skip damaged records (slower; see `data/recovery.py`).
    """

    paths: tuple[str, ...]
    model: ModelConfig
    training: TrainingConfig
    damaged: bool = False


def open_split(
    data_dir: str | Path, split: str
) -> tuple[examples.DatasetInfo, tuple[str, ...]]:
    """Finds the shards of a split.

    Returns:
        The data set's info and the paths of the shards.

    Raises:
        InputError: If the folder is no data set, or the split is empty.
    """
    info = examples.read_info(data_dir)
    if info.steps_per_quarter != STEPS_PER_QUARTER:
        raise InputError(
            f"{data_dir} has {info.steps_per_quarter} steps per quarter; models read "
            f"and compose {STEPS_PER_QUARTER}. Make it again with --steps_per_quarter="
            f"{STEPS_PER_QUARTER}."
        )
    paths = tuple(examples.shard_paths(data_dir, split))
    if not paths or not info.splits[split].num_pieces:
        raise InputError(
            f"The {split} split of {data_dir} has no pieces; prepare more data, or "
            f"give {split} a larger share (see tools/make_tfrecords.py --help)."
        )
    return info, paths


def estimate_steps(split: examples.SplitInfo, training: TrainingConfig) -> int:
    """Estimates the number of batches in an epoch.

    A piece of L steps that is cut gives L / window_steps + 3/4 windows on average: its
    phase adds a quarter, and the remainder fills half of the last one.
    """
    cut = split.num_steps / training.window_steps + 0.75 * split.num_pieces
    windows = max(cut, split.num_pieces)
    return max(round(windows / training.batch_size), 1)


def check_styles(info: examples.DatasetInfo, config: ModelConfig) -> str:
    """Checks that a model knows the styles of a data set; one with one style reads all.

    Returns:
        A note for the user; "" if there is none.

    Raises:
        InputError: If the model has several styles, but not all of the data's.
    """
    unknown = sorted(set(info.styles) - set(config.styles))
    if unknown and len(config.styles) > 1:
        raise InputError(
            f"The data has styles that the model does not know: {', '.join(unknown)}; "
            f"it knows {', '.join(config.styles)}."
        )
    if not unknown or config.styles == SINGLE_STYLE:
        return ""
    return f"read as {config.styles[0]}, the model's one style: {', '.join(unknown)}"


def check_tracks(info: examples.DatasetInfo, config: ModelConfig) -> None:
    """Raises InputError if a model cannot read the tracks of a data set.

    Merged tracks can take the place of a single one.
    """
    known = [track.name for track in info.tracks]
    wanted = [track.name for track in config.tracks]
    if info.tracks and not config.tracks:
        raise InputError(
            f"The data has the tracks {', '.join(known)}, the model has one roll for "
            "all: make the data with --tracks=merged, or choose a model with tracks."
        )
    missing = [name for name in wanted if name not in known]
    if missing and (known or len(wanted) > 1):
        raise InputError(
            f"The data has no track {', '.join(missing)}; it has "
            f"{', '.join(known) or 'all tracks merged'}: make it with "
            f"--tracks={','.join(wanted)}."
        )


def style_index(style: tf.Tensor, config: ModelConfig) -> tf.Tensor:
    """Index of a style in the model's vocabulary; 0 in a vocabulary of one."""
    if len(config.styles) == 1:
        return tf.zeros((), tf.int32)
    return tf.argmax(tf.equal(tf.constant(config.styles), style), output_type=tf.int32)


def training_batches(stream: Stream, epoch: int, skip: int = 0) -> tf.data.Dataset:
    """Batches of one epoch.

    Args:
        stream: what determines the windows.
        epoch: counts from 0.
        skip: batches to skip at the start, for a resumed run.

    Returns:
        Dicts of `previous`, `current` float32 [batch, time, pitch, 3], `bar_position`
        int32 [batch, time], `style` float32 [batch, styles], `mask` float32 [batch,
        time]; `time` is that of the longest window, see `MOST_LENGTHS`. For a model
        with tracks, `previous`, `current` [batch, time, track, pitch, 3] and what
        `windows.task_inputs` adds.
    """
    batches = _window_batches(stream, epoch).skip(skip)
    return batches.map(
        _as_written(lambda batch: _to_inputs(batch, stream)), num_parallel_calls=READERS
    ).prefetch(2)


def batch_ids(stream: Stream, epoch: int, index: int) -> list[tuple[str, int]]:
    """Ids and first steps of the windows in one batch, for error messages."""
    for batch in _window_batches(stream, epoch).skip(index).take(1):
        valid = batch["length"].numpy() > 0
        ids, starts = batch["id"].numpy()[valid], batch["start"].numpy()[valid]
        return [(i.decode(), int(s)) for i, s in zip(ids, starts, strict=True)]
    return []


def _window_batches(stream: Stream, epoch: int) -> tf.data.Dataset:
    batch_size = stream.training.batch_size
    seed = _epoch_seed(stream.training, epoch) + 1
    cut = _windows(stream, epoch)
    padding = {
        # Empty strings, zeros elsewhere.
        name: tf.zeros([batch_size - 1, *spec.shape], spec.dtype)
        for name, spec in cut.element_spec.items()
    }
    cut = cut.shuffle(stream.training.shuffle_windows, seed=seed)
    cut = cut.concatenate(tf.data.Dataset.from_tensor_slices(padding))
    pools = cut.batch(batch_size, drop_remainder=True).batch(POOL_BATCHES)

    def deal_out(index: tf.Tensor, pool: Tensors) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(_sort_by_length(pool, (seed, index)))

    return pools.enumerate().flat_map(_as_written(deal_out)).with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # If TensorFlow has one thread, as on one core, the stages of a pipeline wait for
    # each other: an epoch of 39 batches took 7 s, and takes 1.5 s with these.
    options.threading.private_threadpool_size = READERS
    # The numbers are fixed here; and at the end of an epoch the autotuning thread has
    # been seen to sleep for up to half a minute while everything waited for it.
    options.autotune.enabled = False
    # Several workers share each batch; sharded by file, each would get whole ones.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return options


def _sort_by_length(pool: Tensors, seed: tuple[int, tf.Tensor]) -> Tensors:
    """Groups the windows of some batches by length; the batches come in random order.

    Args:
        pool: tensors [batches, windows, ...], `length` among them.
        seed: the seed of the order.

    Returns:
        Tensors of the same shapes.
    """
    num_batches, batch_size = tf.unstack(tf.shape(pool["length"]))
    order = tf.argsort(tf.reshape(pool["length"], [-1]), stable=True)
    order = tf.reshape(order, [num_batches, batch_size])
    order = tf.random.experimental.stateless_shuffle(order, tf.stack(seed))
    return {
        name: tf.gather(tf.reshape(x, [-1, *x.shape[2:]]), order)
        for name, x in pool.items()
    }


def _epoch_seed(training: TrainingConfig, epoch: int) -> int:
    return int(np.random.SeedSequence([training.seed, epoch]).generate_state(1)[0] >> 2)


def _windows(stream: Stream, epoch: int) -> tf.data.Dataset:
    """All windows of an epoch, cropped and transposed, in the order of the shards."""
    seed = _epoch_seed(stream.training, epoch)
    paths = np.random.default_rng(seed).permutation(np.array(stream.paths))
    records = tf.data.Dataset.from_tensor_slices(paths).interleave(
        _as_written(_valid_records if stream.damaged else _records),
        cycle_length=min(READERS, len(paths)),
        num_parallel_calls=min(READERS, len(paths)),
        deterministic=True,
    )
    return records.enumerate().flat_map(
        _as_written(lambda index, record: _cut(record, index, seed, stream))
    )


def _cut(
    record: tf.Tensor, index: tf.Tensor, seed: int, stream: Stream
) -> tf.data.Dataset:
    piece = record_graph.parse(record, stream.model.tracks)
    piece["style"] = style_index(piece["style"], stream.model)
    piece_seed = tf.stack([tf.cast(seed, tf.int64), index])
    return windows.cut(piece, piece_seed, stream.model, stream.training)


def _records(path: tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(path, compression_type="GZIP")


def _valid_records(path: tf.Tensor) -> tf.data.Dataset:
    return tf.data.Dataset.from_generator(
        lambda path: recovery.records(path.decode()),
        args=(path,),
        output_signature=tf.TensorSpec([], tf.string),
    )


def naming_damage(batches: Iterable[Any], paths: Iterable[str]) -> Iterator[Any]:
    """Iterates over batches; an error about damage names the shard and position.

    Args:
        batches: batches of tf.data.
        paths: the shards being read.

    Raises:
        InputError: If a record is damaged.
    """
    try:
        yield from batches
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
        for _ in read_pieces(paths):
            pass  # Raises at the damage.
        raise


def _to_inputs(batch: Tensors, stream: Stream) -> Tensors:
    part = -(-stream.training.window_steps // MOST_LENGTHS)
    steps = tf.reduce_max(batch["length"])
    steps = tf.minimum(-(-steps // part) * part, stream.training.window_steps)
    inputs = windows.task_inputs(batch, steps, part) if stream.model.tracks else {}
    if inputs:
        steps = tf.shape(inputs["given"])[1]
    frames = to_frames(batch["frames"][:, : steps + 1])
    return inputs | {
        "previous": frames[:, :-1],
        "current": frames[:, 1:],
        "bar_position": tf.cast(batch["bar_position"][:, :steps], tf.int32),
        "style": tf.one_hot(batch["style"], len(stream.model.styles)),
        "mask": tf.sequence_mask(batch["length"], steps, tf.float32),
    }


def to_frames(cells: tf.Tensor) -> tf.Tensor:
    """uint8 cells [..., 3] with volume 0..127 -> float32 frames, volume 0..1."""
    return tf.cast(cells, tf.float32) / tf.constant([1.0, 1.0, 127.0])


def read_pieces(
    paths: Iterable[str], limit: int = 0, damaged: list[str] | None = None
) -> Iterator[examples.Piece]:
    """Reads whole pieces.

    Args:
        paths: the shards, in order.
        limit: maximum number of pieces; 0 for all.
        damaged: if given, damaged records are skipped, and it gets a line for each.

    Raises:
        InputError: If a record is damaged; names the shard and the place.
    """
    pieces = itertools.chain.from_iterable(_pieces(path, damaged) for path in paths)
    yield from itertools.islice(pieces, limit or None)


def read_split(
    data_dir: str | Path, split: str, damaged: list[str] | None = None
) -> Iterator[examples.Piece]:
    """Reads the whole pieces of a split; see `open_split` and `read_pieces`."""
    _, paths = open_split(data_dir, split)
    return read_pieces(paths, damaged=damaged)


def _pieces(path: str, damaged: list[str] | None) -> Iterator[examples.Piece]:
    if damaged is not None:
        yield from map(examples.deserialize, recovery.records(path, damaged))
        return
    for offset, record in shards.read(path):
        try:
            yield examples.deserialize(record)
        except InputError as error:
            raise InputError(f"{path}: record at byte {offset}: {error}") from None
