"""Windows of pieces with tracks: given notes, what lies ahead, durations."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from poph_tf import config
from poph_tf.config import Track
from poph_tf.data import dataset, examples, given, matrices, windows, writing
from poph_tf.errors import InputError

HIGH, LOW = Track("high", 52, voice=True), Track("low", 53, voice=True)
WINDOW, BAR = 16, 4
LENGTHS = (10, 16, 40, 100) * 12


def voices(length, seed=0):
    """Two monophonic voices; their notes change or are repeated every other step."""
    rng = np.random.default_rng(seed)
    stack = np.zeros((length, 2, 128, 3), np.uint8)
    for voice, lowest in enumerate((60, 48)):
        pitch = np.repeat(rng.integers(lowest, lowest + 3, length // 2 + 1), 2)[:length]
        stack[np.arange(length), voice, pitch] = (1, 0, 64)
        stack[::2, voice, :, 1] = stack[::2, voice, :, 0]
    bars = (np.arange(length) % BAR).astype(np.uint8)
    return matrices.from_stack(stack, (HIGH, LOW), bars)


PIECES = [voices(length, seed) for seed, length in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices") / "set"
    splits = dict.fromkeys(examples.SPLITS, PIECES)
    writing.write(splits, "any", folder, (HIGH, LOW))
    return folder


def stream_of(data_dir, tracks=(HIGH, LOW), **training):
    settings = {"window_steps": WINDOW, "batch_size": 4, "shuffle_windows": 6}
    settings |= {"min_transpose": 0, "max_transpose": 0} | training
    model = config.preset("biaxial", min_pitch=40, num_pitches=40, tracks=tracks)
    _, paths = dataset.open_split(data_dir, "train")
    return dataset.Stream(paths, model, config.TrainingConfig(**settings))


@pytest.fixture(scope="module")
def rows(data_dir):
    """Returns every row of an epoch with its piece and first step."""
    stream, found = stream_of(data_dir), []
    ids = {examples.content_id(p, (HIGH, LOW)): p for p in PIECES}
    windows_of = dataset._window_batches(stream, 0)
    for batch, cut in zip(dataset.training_batches(stream, 0), windows_of, strict=True):
        for row in np.flatnonzero(cut["length"].numpy() > 0):
            piece = ids[cut["id"][row].numpy().decode()]
            tensors = {key: x[row].numpy() for key, x in batch.items()}
            found.append((piece, int(cut["start"][row]), tensors))
    return found


def test_records_keep_the_tracks(data_dir):
    info = examples.read_info(data_dir)
    assert (info.format_version, info.tracks) == (2, (HIGH, LOW))
    for made, read in zip(PIECES, dataset.read_split(data_dir, "train"), strict=True):
        assert read.matrices == made
        stack = read.matrices.stack((HIGH, LOW))
        np.testing.assert_array_equal(stack, made.stack((HIGH, LOW)))
        assert [(t.name, t.program) for t in read.matrices.tracks] == [
            ("high", 52),
            ("low", 53),
        ]
        assert read.id == examples.content_id(made, (HIGH, LOW))
        assert read.id != examples.content_id(made)


def test_a_merged_record_does_not_change_where_there_are_tracks():
    piece = PIECES[0]
    merged = matrices.Matrices(piece.cells, piece.bar_position)
    options = {"style": "any", "source": "a.mid"}
    assert examples.serialize(piece, **options) == examples.serialize(merged, **options)


def test_windows_have_the_frames_of_their_tracks(rows):
    for piece, start, row in rows:
        stack = piece.stack((HIGH, LOW))[:, :, 40:80]
        length = int(row["mask"].sum())
        frames = row["current"][:length]
        expected = stack[start : start + length] / (1, 1, 127)
        np.testing.assert_allclose(frames, expected, atol=1e-6)
        before = stack[start - 1, ..., 0] if start else np.zeros((2, 40))
        np.testing.assert_array_equal(row["previous"][0, ..., 0], before)


def test_tracks_come_in_the_models_order(data_dir):
    stream = stream_of(data_dir, tracks=(LOW, HIGH))
    batch = next(iter(dataset.training_batches(stream, 0)))
    play = batch["current"].numpy()[..., 0].any(axis=(0, 1))
    assert play[0, 8:11].any() and play[1, 20:23].any()
    assert not play[0, 20:].any() and not play[1, :20].any()


@for_all(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_bars_left_are_counted_alike_in_the_graph(lengths, pickup):
    bars = [np.arange(5 - pickup, 5), *map(np.arange, lengths)]
    positions = np.concatenate(bars).astype(np.uint8)
    piece = matrices.Matrices(np.zeros((len(positions), 128, 3), np.uint8), positions)
    in_graph = windows.bars_left(tf.constant(positions))
    np.testing.assert_array_equal(in_graph, piece.bars_left)
    assert piece.bars_left.dtype == np.int32


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([1, 4, 4, 3], "3 2222 1111 000"),
        ([4, 4, 3], "2222 1111 000"),
        ([4, 4], "1111 0000"),
        ([3, 4], "111 0000"),
        ([3], "000"),
    ],
)
def test_bars_left_change_at_bar_lines(lengths, expected):
    bars = [np.arange(4 - lengths[0], 4), *map(np.arange, lengths[1:])]
    positions = np.concatenate(bars)
    piece = matrices.Matrices(np.zeros((len(positions), 128, 3), np.uint8), positions)
    assert "".join(map(str, piece.bars_left)) == expected.replace(" ", "")


def test_bars_left_count_to_the_end_of_the_piece_or_are_unknown(rows):
    unknown = 0
    for piece, start, row in rows:
        length = int(row["mask"].sum())
        if row["bars_left"][0] == -1:
            unknown += 1
            assert (row["bars_left"] == -1).all()
            continue
        steps = np.arange(start, start + length)
        left = (len(piece) - 1) // BAR - steps // BAR
        np.testing.assert_array_equal(row["bars_left"][:length], left)
        np.testing.assert_array_equal(piece.bars_left[steps], left)
    assert 0.2 < unknown / len(rows) < 0.47


def test_the_piece_goes_on_after_a_window_as_far_as_it_is_given(rows):
    beyond = 0
    for piece, start, row in rows:
        stack = piece.stack((HIGH, LOW))[:, :, 40:80] / (1, 1, 127)
        steps, length = len(row["mask"]), int(row["mask"].sum())
        music = stack[start : start + min(length + windows.AHEAD, steps)]
        np.testing.assert_allclose(row["current"][: len(music)], music, atol=1e-6)
        assert not row["current"][len(music) :].any()
        assert not row["given"][len(music) :].any()
        beyond += int(row["given"][length:].sum())
    assert beyond > 300


def test_about_half_of_the_windows_have_something_given(rows):
    flags = [row["given"][row["mask"] > 0] for _, _, row in rows]
    assert 0.35 < np.mean([flag.any() for flag in flags]) < 0.6
    tracks = [f for f in flags if (f == f[:1]).all() and f[0].sum() == 1]
    bars = [f for f in flags if f.any() and (f[:, 0] == f[:, 1]).all()]
    assert len(tracks) > 0.1 * len(flags) and len(bars) > 0.1 * len(flags)
    off = np.mean([row["looks_ahead"] == 0 for _, _, row in rows])
    assert 0.03 < off < 0.2


def test_whole_bars_are_given(rows):
    for _, start, row in rows:
        length = int(row["mask"].sum())
        inside = np.arange(start + 1, start + length) % BAR != 0
        changes = np.diff(row["given"][:length], axis=0) != 0
        assert not changes[inside].any()


def test_one_track_alone_is_never_given_throughout():
    draw = tf.function(given.draw)
    bars = tf.constant(np.arange(32) % 4, tf.uint8)
    drawn = [draw(bars, 1, tf.constant([seed, 5], tf.int64)) for seed in range(60)]
    whole = [d.numpy().all() for d in drawn]
    assert np.mean(whole) < 0.1 and any(d.numpy().any() for d in drawn)


def test_a_transposition_keeps_every_voice_in_range(data_dir):
    # Pitches 48..62 in a range of 40..64: shifts from -8 to 2.
    stream = stream_of(data_dir, min_transpose=-24, max_transpose=24)
    model = config.preset("biaxial", min_pitch=40, num_pitches=25, tracks=(HIGH, LOW))
    stream = dataclasses.replace(stream, model=model)
    lowest = set()
    for batch in dataset.training_batches(stream, 0):
        play = batch["current"].numpy()[..., 0]
        sounding = play.sum(-1)[batch["mask"].numpy() > 0]
        assert (sounding == 1).all()
        lowest.update(np.flatnonzero(row.any(axis=(0, 1)))[0] for row in play)
    assert len(lowest) > 3


def test_merged_tracks_can_stand_for_a_single_one(tmp_path):
    splits = dict.fromkeys(examples.SPLITS, PIECES)
    writing.write(splits, "any", tmp_path / "merged")
    stream = stream_of(tmp_path / "merged", tracks=(Track("all"),))
    batch = next(iter(dataset.training_batches(stream, 0)))
    assert batch["current"].shape[2:] == (1, 40, 3)
    assert batch["given"].shape[2:] == (1,)


def test_tracks_that_do_not_fit_are_refused(data_dir):
    info = examples.read_info(data_dir)
    model = config.preset("biaxial")
    with pytest.raises(InputError, match="tracks high, low, the model has one roll"):
        dataset.check_tracks(info, model)
    tracks = (HIGH, Track("middle"))
    wanted = config.preset("poph3", tracks=tracks)
    with pytest.raises(InputError, match="no track middle; it has high, low: make it"):
        dataset.check_tracks(info, wanted)
    merged = dataclasses.replace(info, tracks=())
    with pytest.raises(InputError, match="it has all tracks merged"):
        dataset.check_tracks(merged, wanted)
    dataset.check_tracks(merged, model)
