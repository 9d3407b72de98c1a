"""The training stream: each step once, the right previous frames, reproducible."""

import dataclasses
import gzip
import pathlib

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config
from poph_tf.data import dataset, examples, recovery, windows
from poph_tf.data import shards as shards_lib
from poph_tf.errors import InputError

WINDOW = 8
LENGTHS = (5, 8, 19, 30, 1, 16)
STYLES = ("bach", "palestrina")


@pytest.fixture(scope="module")
def pieces():
    """Pieces with notes in the middle, so that transposition loses none."""
    return [small.random_piece(k, n, low=60, high=70) for k, n in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def data_dir(pieces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    return small.write_data_set(folder, {"train": pieces}, STYLES, shards=2)


def stream_of(data_dir, model=None, **training):
    settings = {"window_steps": WINDOW, "batch_size": 5, "shuffle_windows": 6}
    settings |= {"min_transpose": 0, "max_transpose": 0}
    model = model or config.preset(
        "deepj", min_pitch=48, num_pitches=36, styles=STYLES, style_shares=(0.5, 0.5)
    )
    _, paths = dataset.open_split(data_dir, "train")
    return dataset.Stream(paths, model, config.TrainingConfig(**settings | training))


def batches_of(stream, epoch=0, skip=0):
    batches = dataset.training_batches(stream, epoch, skip)
    return [{k: v.numpy() for k, v in batch.items()} for batch in batches]


def windows_of(batches):
    """The windows of all batches, without those that only pad a batch."""
    rows = [
        {k: v[i] for k, v in b.items()} for b in batches for i in range(len(b["mask"]))
    ]
    return [row for row in rows if row["mask"].any()]


def find(window, pieces, shift=0, low=48):
    """(piece, first step) of a window, by its frames and the frame before."""
    length = int(window["mask"].sum())
    for number, piece in enumerate(pieces):
        cells = piece.cells[:, low - shift : low - shift + window["current"].shape[1]]
        whole = cells.astype(np.float32) / np.array([1.0, 1.0, 127.0], np.float32)
        for start in range(len(whole) - length + 1):
            before = whole[start - 1] if start else np.zeros_like(whole[0])
            if np.array_equal(
                window["current"][:length], whole[start : start + length]
            ) and np.array_equal(window["previous"][0], before):
                return number, start
    raise AssertionError("The window is nowhere in the pieces.")


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_has_every_step_of_every_piece_once(data_dir, pieces, epoch):
    windows = windows_of(batches_of(stream_of(data_dir), epoch))
    seen = [np.zeros(length, int) for length in LENGTHS]
    for window in windows:
        number, start = find(window, pieces)
        seen[number][start : start + int(window["mask"].sum())] += 1
    for counts in seen:
        np.testing.assert_array_equal(counts, 1)


def test_previous_is_current_a_step_before_with_the_true_first_frame(data_dir, pieces):
    windows = windows_of(batches_of(stream_of(data_dir)))
    starts = []
    for window in windows:
        length = int(window["mask"].sum())
        np.testing.assert_array_equal(
            window["previous"][1:length], window["current"][: length - 1]
        )
        number, start = find(window, pieces)  # compares the frame before as well
        starts.append(start)
        bars = pieces[number].bar_position[start : start + length]
        np.testing.assert_array_equal(window["bar_position"][:length], bars)
        np.testing.assert_array_equal(window["style"], np.eye(2)[number % 2])
    # Some windows start inside a piece, where the frame before is not silent.
    assert any(start > 0 for start in starts)


def test_masked_steps_are_the_last_of_a_window_and_silent(data_dir):
    for batch in batches_of(stream_of(data_dir)):
        assert (np.diff(batch["mask"], axis=1) <= 0).all()
        assert not batch["current"][batch["mask"] == 0].any()


def test_the_last_batch_is_filled_up_with_masked_windows(data_dir):
    batches = batches_of(stream_of(data_dir))
    assert {len(batch["mask"]) for batch in batches} == {5}
    filled = [int(batch["mask"].any(axis=1).sum()) for batch in batches]
    assert sum(filled) == len(windows_of(batches)) > 5 * (len(batches) - 1)
    assert sorted(filled)[1:] == [5] * (len(batches) - 1)


def test_windows_of_a_cut_piece_are_neither_short_nor_too_long(data_dir, pieces):
    seen = {number: set() for number in range(len(LENGTHS))}
    for epoch in range(20):
        for window in windows_of(batches_of(stream_of(data_dir), epoch)):
            seen[find(window, pieces)[0]].add(int(window["mask"].sum()))
    assert (seen[0], seen[1], seen[4]) == ({5}, {8}, {1})  # not cut
    for number in (2, 3, 5):
        assert min(seen[number]) >= WINDOW // 2 and max(seen[number]) == WINDOW
        assert len(seen[number]) > 2


@pytest.mark.parametrize("steps", [2, 3, 7, 8, 192])
def test_edges_cover_pieces_of_every_length(steps):
    drawn = tf.function(windows._edges)
    for length in [*range(1, 5 * steps if steps < 10 else 9), 193, 287, 288, 289, 1000]:
        for seed in range(3):
            seed = tf.constant([seed, length], tf.int64)
            edges = drawn(tf.constant(length), steps, seed).numpy()
            assert (edges[0], edges[-1]) == (0, length)
            if length <= steps:
                assert len(edges) == 2
            else:
                assert np.diff(edges).min() >= steps // 2, (length, edges)
                assert np.diff(edges).max() <= steps, (length, edges)


def test_a_batch_is_as_long_as_its_longest_window(data_dir):
    stream = stream_of(data_dir, window_steps=32, batch_size=2)
    batches = batches_of(stream)
    assert [len(batch["mask"]) for batch in batches] == [2, 2, 2]
    # Nothing is cut here. Sorted by length, the pairs are 1 5, 8 16, 19 30; lengths are
    # rounded up to a twelfth of a window, 3 steps.
    lengths = sorted(batch["mask"].sum(axis=1).tolist() for batch in batches)
    assert lengths == [[1, 5], [8, 16], [19, 30]]
    assert sorted(batch["mask"].shape[1] for batch in batches) == [6, 18, 30]
    for batch in batches:
        assert batch["current"].shape[1] == batch["bar_position"].shape[1]
        assert batch["previous"].shape == batch["current"].shape


def test_batches_of_a_pool_come_in_any_order(data_dir):
    stream = stream_of(data_dir, window_steps=32, batch_size=2)
    orders = {
        tuple(batch["mask"].shape[1] for batch in batches_of(stream, epoch))
        for epoch in range(12)
    }
    assert len(orders) > 2


def test_a_transposition_moves_play_replay_and_volume_together(data_dir, pieces):
    stream = stream_of(data_dir, min_transpose=-6, max_transpose=5)
    shifts = set()
    for epoch in range(4):
        for window in windows_of(batches_of(stream, epoch)):
            fits = []
            for shift in range(-6, 6):
                try:
                    fits.append((find(window, pieces, shift), shift))
                except AssertionError:
                    continue
            assert fits, "No drawn interval explains the window."
            if len(fits) == 1:
                shifts.add(fits[0][1])
    # 48 windows draw most of the twelve intervals, both ends included.
    assert len(shifts) >= 10 and {-6, 5} <= shifts


def test_a_fixed_transposition_is_exact(data_dir, pieces):
    stream = stream_of(data_dir, min_transpose=3, max_transpose=3)
    for window in windows_of(batches_of(stream)):
        find(window, pieces, shift=3)


def test_the_crop_keeps_the_pitches_of_the_model(data_dir, pieces):
    model = config.preset("biaxial", min_pitch=62, num_pitches=4)
    for window in windows_of(batches_of(stream_of(data_dir, model))):
        assert window["current"].shape[1:] == (4, 3)
        find(window, pieces, low=62)


def test_the_crop_is_silent_outside_the_pitches_of_midi(data_dir):
    model = config.preset("biaxial", min_pitch=0, num_pitches=128)
    stream = stream_of(data_dir, model, min_transpose=48, max_transpose=48)
    for batch in batches_of(stream):
        assert not batch["current"][:, :, :48].any()
        assert batch["current"][:, :, 108:118, 0].any()


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x[key], y[key]) for x, y in zip(a, b, strict=True) for key in x
    )


def test_the_stream_is_fixed_by_seed_and_epoch(data_dir):
    stream = stream_of(data_dir, min_transpose=-6, max_transpose=5, seed=3)
    first = batches_of(stream, 1)
    assert same(first, batches_of(stream, 1))
    assert not same(first, batches_of(stream, 0))
    other = stream_of(data_dir, min_transpose=-6, max_transpose=5, seed=4)
    assert not same(first, batches_of(other, 1))


def test_every_step_comes_once_whatever_the_pool(data_dir, pieces, monkeypatch):
    stream = stream_of(data_dir, batch_size=2)
    in_one_pool = windows_of(batches_of(stream))
    monkeypatch.setattr(dataset, "POOL_BATCHES", 2)
    whole = batches_of(stream)
    assert len(whole) > 4
    assert not same(whole, batches_of(stream, 1))

    def places(windows):
        return sorted((*find(w, pieces), int(w["mask"].sum())) for w in windows)

    assert places(windows_of(whole)) == places(in_one_pool)
    assert same(batches_of(stream, skip=3), whole[3:])
    ids = [examples.content_id(piece) for piece in pieces]
    found = [find(w, pieces) for w in windows_of(whole[3:4])]
    expected = [(ids[number], start) for number, start in found]
    assert dataset.batch_ids(stream, 0, 3) == expected


def test_the_number_of_steps_of_an_epoch_is_estimated(data_dir):
    info, _ = dataset.open_split(data_dir, "train")
    for steps, size in ((8, 1), (16, 1), (64, 2)):
        stream = stream_of(data_dir, window_steps=steps, batch_size=size)
        counted = np.mean([len(batches_of(stream, epoch)) for epoch in range(4)])
        estimated = dataset.estimate_steps(info.splits["train"], stream.training)
        assert abs(estimated - counted) <= 0.2 * counted


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_skipped_batches_leave_the_rest_unchanged(data_dir, skip):
    stream = stream_of(data_dir, min_transpose=-6, max_transpose=5)
    whole = batches_of(stream, 2)
    assert same(batches_of(stream, 2, skip=skip), whole[skip:])


def test_epochs_cut_pieces_at_different_places(data_dir, pieces):
    stream = stream_of(data_dir)
    cuts = [
        {find(w, pieces) for w in windows_of(batches_of(stream, epoch))}
        for epoch in range(3)
    ]
    assert cuts[0] != cuts[1] != cuts[2]


def test_the_pieces_of_a_batch_can_be_named(data_dir, pieces):
    stream = stream_of(data_dir)
    ids = [examples.content_id(piece) for piece in pieces]
    for index, batch in enumerate(batches_of(stream, 1)):
        named = dataset.batch_ids(stream, 1, index)
        found = [find(w, pieces) for w in windows_of([batch])]
        assert named == [(ids[number], start) for number, start in found]


def test_pieces_are_read_whole_and_in_order(data_dir, pieces):
    _, paths = dataset.open_split(data_dir, "train")
    read = list(dataset.read_pieces(paths))
    expected = pieces[::2] + pieces[1::2]
    assert [piece.matrices for piece in read] == expected
    assert [piece.style for piece in read] == ["bach"] * 3 + ["palestrina"] * 3
    assert len(list(dataset.read_pieces(paths, limit=2))) == 2


def test_a_folder_that_is_no_data_set_is_an_input_error(data_dir, pieces, tmp_path):
    with pytest.raises(InputError, match="No folder"):
        dataset.open_split(tmp_path / "none", "train")
    with pytest.raises(InputError, match="holds no data set"):
        dataset.open_split(tmp_path, "train")
    with pytest.raises(InputError, match="no split 'test'"):
        dataset.open_split(data_dir, "test")
    empty = small.write_data_set(tmp_path / "empty", {"train": pieces, "valid": []})
    with pytest.raises(InputError, match="valid split .* has no pieces"):
        dataset.open_split(empty, "valid")


def test_styles_that_a_model_does_not_know_are_an_input_error(data_dir):
    info = examples.read_info(data_dir)
    known = config.preset("deepj", styles=("bach", "monk"), style_shares=(0.5, 0.5))
    with pytest.raises(InputError, match="does not know: palestrina"):
        dataset.check_styles(info, known)
    # One style fits all.
    assert dataset.check_styles(info, config.preset("deepj")) == ""
    own = config.preset("deepj", styles=info.styles[:1])
    told = dataset.check_styles(info, own)
    others = ", ".join(info.styles[1:])
    assert told == f"read as {info.styles[0]}, the model's one style: {others}"


def test_a_model_takes_the_styles_and_shares_of_its_data(data_dir):
    info = examples.read_info(data_dir)
    with_styles = config.preset("deepj").with_data(info)
    assert with_styles.styles == STYLES
    bach = sum(LENGTHS[::2]) / sum(LENGTHS)
    np.testing.assert_allclose(with_styles.style_shares, (bach, 1 - bach))
    assert config.preset("biaxial").with_data(info).styles == ("any",)


@pytest.fixture(scope="module")
def members(pieces):
    """Pieces as gzip members, as prepared shards hold them."""
    records = [examples.serialize(p, style="bach", source="a.mid") for p in pieces]
    return [gzip.compress(shards_lib.framed(r), mtime=0) for r in records]


@pytest.fixture(scope="module")
def damaged_dir(pieces, members, tmp_path_factory):
    """A data set of one shard with a wrong bit in its third record."""
    folder = tmp_path_factory.mktemp("data") / "damaged"
    small.write_data_set(folder, {"train": pieces}, STYLES)
    (path,) = dataset.open_split(folder, "train")[1]
    third = bytearray(members[2])
    third[len(third) // 2] ^= 1
    pathlib.Path(path).write_bytes(b"".join([*members[:2], third, *members[3:]]))
    return folder


NAMED = r"train-00000\S*: damaged \w+ (at|near) byte \d+"


def test_damage_ends_reading_with_the_name_of_the_shard_and_the_place(damaged_dir):
    _, paths = dataset.open_split(damaged_dir, "train")
    with pytest.raises(InputError, match=NAMED):
        list(dataset.read_pieces(paths))
    batches = dataset.training_batches(stream_of(damaged_dir), 0)
    with pytest.raises(InputError, match=NAMED):
        list(dataset.naming_damage(batches, paths))


def test_damaged_records_can_be_skipped_and_are_counted(damaged_dir, members, pieces):
    _, paths = dataset.open_split(damaged_dir, "train")
    rest = pieces[:2] + pieces[3:]
    damaged = []
    read = dataset.read_pieces(paths, damaged=damaged)
    assert [piece.matrices for piece in read] == rest
    place = len(members[0]) + len(members[1])
    assert damaged == [f"{paths[0]}: damaged record at byte {place} of the file"]
    assert damaged == recovery.find(paths)
    stream = dataclasses.replace(stream_of(damaged_dir), damaged=True)
    seen = [np.zeros(length, int) for length in LENGTHS]
    for window in windows_of(batches_of(stream)):
        number, start = find(window, pieces)
        seen[number][start : start + int(window["mask"].sum())] += 1
    assert [set(counts.tolist()) for counts in seen] == [{1}, {1}, {0}, {1}, {1}, {1}]
    assert same(batches_of(stream, skip=1), batches_of(stream)[1:])


def test_an_undamaged_set_reads_the_same_with_and_without_recovery(data_dir):
    stream = stream_of(data_dir, min_transpose=-6, max_transpose=5)
    around = dataclasses.replace(stream, damaged=True)
    assert same(batches_of(stream, 1), batches_of(around, 1))
    assert recovery.find(stream.paths) == []
