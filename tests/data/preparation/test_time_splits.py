"""Collections with fewer compositions than splits are split by time."""

import numpy as np
import pytest
import smf
from collections_of_songs import write

from poph_tf.config import DataConfig
from poph_tf.data import dataset, examples
from poph_tf.data.matrices import Matrices
from poph_tf.data.preparation import pipeline, report, time_splits


def roll(bars, upbeat=0):
    position = [*range(16 - upbeat, 16), *(np.arange(16 * bars) % 16)]
    cells = np.zeros((len(position), 128, 3), np.uint8)
    return Matrices(cells, np.array(position, np.uint8))


@pytest.mark.parametrize(
    ("piece", "fractions", "ends"),
    [
        (roll(20), (0.8, 0.1, 0.1), {"train": 256, "valid": 288, "test": 320}),
        # At least a bar for each.
        (roll(3), (0.8, 0.1, 0.1), {"train": 16, "valid": 32, "test": 48}),
        (roll(4, upbeat=4), (0.8, 0.1, 0.1), {"train": 36, "valid": 52, "test": 68}),
        (roll(10), (0.9, 0.0, 0.1), {"train": 144, "test": 160}),
        # Too short to cut.
        (roll(2), (0.8, 0.1, 0.1), {"train": 32}),
    ],
)
def test_pieces_are_cut_at_bar_lines(piece, fractions, ends):
    parts = dict(time_splits._parts(piece, fractions))
    assert {split: steps.stop for split, steps in parts.items()} == ends
    assert next(iter(parts.values())).start == 0


def long_song(offset=0):
    """Ten bars, 3/4 from bar 6 on; a note crosses the bar line before bar 9."""
    events = [smf.on(0, 60 + offset), smf.off(480, 60 + offset)]
    first = [smf.on(1920 * k, 62 + k + offset) for k in range(1, 5)]
    more = [[on, smf.off(on[0] + 480, on[2])] for on in first]
    tail = [smf.on(9600 + 2 * 1440, 50), smf.off(9600 + 5 * 1440, 50)]
    metres = [smf.metre(0, 4, 2), smf.metre(9600, 3, 2)]
    return smf.file(metres, [*events, *(e for pair in more for e in pair), *tail])


@pytest.mark.parametrize("count", [1, 2])
def test_one_file_and_two_files_can_be_trained_on(tmp_path, count):
    for k in range(count):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{k}.mid").write_bytes(long_song(3 * k))
    settings = DataConfig(input=(str(tmp_path / "in"),))
    info = pipeline.prepare(settings, tmp_path / "out")
    assert info.split_by_time
    assert [split.num_pieces for split in info.splits.values()] == [count] * 3
    assert any("cut by time" in line for line in report.warnings(info))
    found = {
        split: list(dataset.read_split(tmp_path / "out", split))
        for split in info.splits
    }
    # 80 + 60 steps: the bar lines nearest to 112 and 126 are 116 and 128.
    for split, length in (("train", 116), ("valid", 12), ("test", 12)):
        assert [len(piece.matrices) for piece in found[split]] == [length] * count
    test = found["test"][0]
    assert test.source.endswith("#test")
    # The long note continues: it starts again in each part.
    assert test.matrices.play[:, 50].all() and not test.matrices.replay.any()
    assert test.matrices.time_signatures == ((0, 3, 4),)
    assert found["train"][0].matrices.time_signatures == ((0, 4, 4), (80, 3, 4))


def test_three_files_are_shared_out_whole(tmp_path):
    settings = DataConfig(input=(str(write(tmp_path / "in", 3)),))
    info = pipeline.prepare(settings, tmp_path / "out")
    assert not info.split_by_time
    assert [split.num_pieces for split in info.splits.values()] == [1, 1, 1]
    assert set(info.splits) == set(examples.SPLITS)
