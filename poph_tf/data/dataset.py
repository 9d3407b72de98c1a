"""Reads records as batches of windows for training, or as whole pieces.

    shards -> pieces -> windows -> transposed, cropped -> batches of like length

The stream of an epoch is a pure function of (data, settings, seed, epoch): the order
of shards, the phase at which a piece is cut, the transposition of each window and the
shuffle all come from them. So a run that is started again skips to where it was, and
an epoch sees every step of every piece exactly once.

A piece of up to `window_steps` steps is one window; a longer one is cut at a random
phase into windows of at least half of that. The first frame that a window looks back at
is the true one; it is silence only at the start of a piece. Windows that are batched
together are about as long, and a batch is only as long as its longest: pieces differ in
length, and what fills them up costs as much as they do. The last windows of an epoch
are filled up to a whole batch with windows whose mask is 0.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from poph_tf.data import examples, recovery, shards
from poph_tf.errors import InputError

# Nothing here branches on a tensor, so what AutoGraph would rewrite stays as it is: an
# epoch starts sooner, and does not read this file's source again.
_as_written = tf.autograph.experimental.do_not_convert

# As far as a transposition can shift what is cropped to the model's pitches.
MARGIN = 48
# So many batches' windows are sorted by length together.
POOL_BATCHES = 8
# A batch is as long as its longest window, up to the next of so many parts of
# `window_steps`: few lengths, since the step of a long training is traced for each.
MOST_LENGTHS = 12
# Threads of the pipeline, and stages of it that run at once.
READERS = 4
# The grid of the models: bar positions, composing and the MIDI of pieces count on it.
STEPS_PER_QUARTER = 4


@dataclasses.dataclass(frozen=True)
class Stream:
    """What fixes the windows of a training stream.

    Args:
        paths: tuple of str, the shards.
        model: ModelConfig.
        training: TrainingConfig.
        damaged: bool. Read around damaged records (slower; see `data/recovery.py`).
    """

    paths: tuple
    model: object
    training: object
    damaged: bool = False


def open_split(data_dir, split):
    """Finds the shards of a split.

    Returns:
        (DatasetInfo, tuple of shard paths).

    Raises:
        InputError: If the folder is no data set, or the split is empty.
    """
    info = examples.read_info(data_dir)
    if info.steps_per_quarter != STEPS_PER_QUARTER:
        raise InputError(
            f"{data_dir} has {info.steps_per_quarter} steps a quarter; models read and "
            f"compose {STEPS_PER_QUARTER}. Make it again with --steps_per_quarter="
            f"{STEPS_PER_QUARTER}."
        )
    paths = tuple(examples.shard_paths(data_dir, split))
    if not paths or not info.splits[split].num_pieces:
        raise InputError(
            f"The {split} split of {data_dir} has no pieces; prepare more data, or "
            f"give {split} a larger share (see tools/make_tfrecords.py --help)."
        )
    return info, paths


def estimate_steps(split, training):
    """Steps of an epoch, about.

    A piece of L steps that is cut gives L / window_steps + 3/4 windows on average: its
    phase adds a quarter, and the rest fills half of the last one.
    """
    cut = split.num_steps / training.window_steps + 0.75 * split.num_pieces
    windows = max(cut, split.num_pieces)
    return max(round(windows / training.batch_size), 1)


def check_styles(info, config):
    """Raises InputError if a data set has a style that the model does not know."""
    if len(config.styles) == 1:
        return
    unknown = sorted(set(info.styles) - set(config.styles))
    if unknown:
        raise InputError(
            f"The data has styles that the model does not know: {', '.join(unknown)}; "
            f"it knows {', '.join(config.styles)}."
        )


def style_index(style, config):
    """Place of a style's name (a string tensor) in the vocabulary; 0 where single."""
    if len(config.styles) == 1:
        return tf.zeros((), tf.int32)
    return tf.argmax(tf.equal(tf.constant(config.styles), style), output_type=tf.int32)


def training_batches(stream, epoch, skip=0):
    """Batches of one epoch.

    Args:
        stream: Stream.
        epoch: int, from 0.
        skip: int. Batches to leave out at the start, for a run that goes on.

    Returns:
        tf.data.Dataset of dicts: `previous`, `current` float32 [batch, time, pitch,
        3], `bar_position` int32 [batch, time], `style` float32 [batch, styles], `mask`
        float32 [batch, time]; `time` is that of the longest window, see `MOST_LENGTHS`.
    """
    batches = _window_batches(stream, epoch).skip(skip)
    return batches.map(
        _as_written(lambda batch: _to_inputs(batch, stream)),
        num_parallel_calls=READERS,
    ).prefetch(2)


def batch_ids(stream, epoch, index):
    """Ids and first steps of the windows in one batch, to name it in an error."""
    for batch in _window_batches(stream, epoch).skip(index).take(1):
        valid = batch["length"].numpy() > 0
        ids, starts = batch["id"].numpy()[valid], batch["start"].numpy()[valid]
        return [(i.decode(), int(s)) for i, s in zip(ids, starts, strict=True)]
    return []


def _window_batches(stream, epoch):
    training = stream.training
    seed = _epoch_seed(training, epoch) + 1
    windows = _windows(stream, epoch).shuffle(training.shuffle_windows, seed=seed)
    empty = {
        name: tf.zeros([training.batch_size - 1, *spec.shape], spec.dtype)
        if spec.dtype != tf.string
        else tf.fill([training.batch_size - 1], "")
        for name, spec in windows.element_spec.items()
    }
    filling = tf.data.Dataset.from_tensor_slices(empty)
    batches = windows.concatenate(filling).batch(
        training.batch_size, drop_remainder=True
    )
    pools = batches.batch(POOL_BATCHES).enumerate()
    batches = pools.flat_map(
        _as_written(
            lambda index, pool: tf.data.Dataset.from_tensor_slices(
                _sort_by_length(pool, (seed, index))
            )
        )
    )
    options = tf.data.Options()
    options.deterministic = True
    # Where TensorFlow has one thread, as on one core, the stages of a pipeline wait for
    # each other: an epoch of 39 batches took 7 s, and takes 1.5 s with these.
    options.threading.private_threadpool_size = READERS
    # Its numbers are fixed here; and at the end of an epoch the thread that would tune
    # them was seen to sleep on for up to half a minute while all waited for it.
    options.autotune.enabled = False
    # Several workers cut the same batches into parts; whole files would go to one.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return batches.with_options(options)


def _sort_by_length(pool, seed):
    """Deals the windows of some batches out anew, like to like; batches at random.

    Args:
        pool: dict of tensors [batches, windows, ...], `length` among them.
        seed: pair of int.

    Returns:
        dict of the same shapes.
    """
    num_batches, batch_size = tf.unstack(tf.shape(pool["length"]))
    order = tf.argsort(tf.reshape(pool["length"], [-1]), stable=True)
    order = tf.reshape(order, [num_batches, batch_size])
    order = tf.random.experimental.stateless_shuffle(order, tf.stack(seed))
    return {
        name: tf.gather(tf.reshape(x, [-1, *x.shape[2:]]), order)
        for name, x in pool.items()
    }


def _epoch_seed(training, epoch):
    return int(np.random.SeedSequence([training.seed, epoch]).generate_state(1)[0] >> 2)


def _windows(stream, epoch):
    """All windows of an epoch, cropped and transposed, in the order of the shards."""
    seed = _epoch_seed(stream.training, epoch)
    paths = np.random.default_rng(seed).permutation(np.array(stream.paths))
    records = tf.data.Dataset.from_tensor_slices(paths).interleave(
        _as_written(_sound_records if stream.damaged else _records),
        cycle_length=min(READERS, len(paths)),
        num_parallel_calls=min(READERS, len(paths)),
        deterministic=True,
    )
    return records.enumerate().flat_map(
        _as_written(
            lambda index, record: _cut(examples.parse(record), index, seed, stream)
        )
    )


def _records(path):
    return tf.data.TFRecordDataset(path, compression_type="GZIP")


def _sound_records(path):
    return tf.data.Dataset.from_generator(
        lambda path: recovery.records(path.decode(), None),
        args=(path,),
        output_signature=tf.TensorSpec([], tf.string),
    )


def naming_damage(batches, paths):
    """Iterates over batches; of damage it says in which shard it lies, and where.

    Args:
        batches: iterable whose data come from tf.data.
        paths: shards that are read.

    Raises:
        InputError: If a record is damaged.
    """
    try:
        yield from batches
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        for _ in read_pieces(paths):
            pass  # Raises where the damage is.
        raise error


def _cut(piece, index, seed, stream):
    """Cuts one piece into windows at a random phase."""
    steps = stream.training.window_steps
    piece_seed = tf.stack([tf.cast(seed, tf.int64), index])
    edges = _edges(tf.shape(piece["cells"])[0], steps, piece_seed)
    silence = tf.zeros_like(piece["cells"][:1])
    frames = tf.concat([silence, piece["cells"]], axis=0)
    style = style_index(piece["style"], stream.model)

    def window(k):
        start, end = edges[k], edges[k + 1]
        shift_seed = tf.random.experimental.stateless_fold_in(piece_seed, k)
        shift = _draw_shift(shift_seed, stream.training)
        return {
            "frames": _fit(
                _crop(frames[start : end + 1], shift, stream.model), steps + 1
            ),
            "bar_position": _fit(piece["bar_position"][start:end], steps),
            "length": end - start,
            "style": style,
            "id": piece["id"],
            "start": start,
        }

    places = tf.data.Dataset.range(tf.cast(tf.size(edges) - 1, tf.int64))
    return places.map(_as_written(lambda k: window(tf.cast(k, tf.int32))))


def _edges(length, steps, seed):
    """Where windows of a piece begin and end.

    Every window of a piece that is cut has between half of `steps` and all of them: of
    shorter ones little is learned, and the steps of a batch of them would count more
    than others do.

    Args:
        length: int32 scalar, steps of the piece.
        steps: int, the most that a window has.
        seed: int64 [2].

    Returns:
        int32 [windows + 1], from 0 to `length`.
    """
    phase = tf.random.stateless_uniform([], seed, 0, (steps + 1) // 2, tf.int32)
    phase = tf.where(length > steps, phase, 0)
    num_windows = tf.maximum(-(-(length + phase) // steps), 1)
    inner = tf.range(1, num_windows) * steps - phase
    before = tf.concat([[0], inner], axis=0)
    # What the last window lacks it takes from the one before.
    last = tf.where(
        length - before[-1] < (steps + 1) // 2,
        (before[tf.maximum(num_windows - 2, 0)] + length) // 2,
        before[-1],
    )
    last = tf.where(num_windows > 1, last, 0)
    return tf.concat([before[:-1], [last, length]], axis=0)


def _draw_shift(seed, training):
    if training.min_transpose == training.max_transpose:
        return training.min_transpose
    return tf.random.stateless_uniform(
        [], seed, training.min_transpose, training.max_transpose + 1, tf.int32
    )


def _crop(cells, shift, config):
    """Transposes [time, 128, 3] by `shift` semitones and keeps the model's pitches."""
    padded = tf.pad(cells, [[0, 0], [MARGIN, MARGIN], [0, 0]])
    start = config.min_pitch - shift + MARGIN
    return tf.ensure_shape(
        padded[:, start : start + config.num_pitches], (None, config.num_pitches, 3)
    )


def _fit(x, steps):
    """Fills the time axis up with zeros to `steps`."""
    missing = steps - tf.shape(x)[0]
    filled = tf.pad(x, [[0, missing]] + [[0, 0]] * (len(x.shape) - 1))
    return tf.ensure_shape(filled, (steps, *x.shape[1:]))


def _to_inputs(batch, stream):
    part = -(-stream.training.window_steps // MOST_LENGTHS)
    steps = tf.reduce_max(batch["length"])
    steps = tf.minimum(-(-steps // part) * part, stream.training.window_steps)
    frames = to_frames(batch["frames"][:, : steps + 1])
    return {
        "previous": frames[:, :-1],
        "current": frames[:, 1:],
        "bar_position": tf.cast(batch["bar_position"][:, :steps], tf.int32),
        "style": tf.one_hot(batch["style"], len(stream.model.styles)),
        "mask": tf.sequence_mask(batch["length"], steps, tf.float32),
    }


def to_frames(cells):
    """uint8 cells [..., 3] with volume 0..127 -> float32 frames, volume 0..1."""
    return tf.cast(cells, tf.float32) / tf.constant([1.0, 1.0, 127.0])


def read_pieces(paths, limit=0, damaged=None):
    """Reads whole pieces.

    Args:
        paths: shards, in order.
        limit: int. At most so many pieces; 0 for all.
        damaged: list or None. Where it is given damaged records are left out, and it
            gets a line for each.

    Yields:
        examples.Piece.

    Raises:
        InputError: If a record is damaged; names the shard and the offset.
    """
    read = _read_strictly if damaged is None else _read_around
    pieces = itertools.chain.from_iterable(read(path, damaged) for path in paths)
    yield from itertools.islice(pieces, limit or None)


def read_split(data_dir, split, damaged=None):
    """Reads the whole pieces of a split; raises and yields as the two above."""
    _, paths = open_split(data_dir, split)
    return read_pieces(paths, damaged=damaged)


def _read_strictly(path, _):
    for offset, record in shards.read(path):
        try:
            yield examples.deserialize(record)
        except InputError as error:
            raise InputError(f"{path}: record at byte {offset}: {error}") from None


def _read_around(path, damaged):
    return map(examples.deserialize, recovery.records(path, damaged))
