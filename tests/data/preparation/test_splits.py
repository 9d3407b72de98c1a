"""Which split a piece falls into."""

import numpy as np
import pytest

from poph_tf.data import examples
from poph_tf.data.preparation import splits as splits_lib


def test_splits_depend_on_the_piece_alone_and_keep_their_shares():
    random = np.random.default_rng(0)
    names = [random.bytes(32) for _ in range(4000)]
    where = splits_lib.split(names, (0.8, 0.1, 0.1))
    shares = [np.mean(where == name) for name in examples.SPLITS]
    np.testing.assert_allclose(shares, (0.8, 0.1, 0.1), atol=0.02)
    again = splits_lib.split(names[::-2], (0.8, 0.1, 0.1))
    assert (again == where[::-2]).all()


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_few_pieces_still_reach_every_split(count, seed):
    random = np.random.default_rng(seed)
    where = splits_lib.split([random.bytes(32) for _ in range(count)], (0.8, 0.1, 0.1))
    assert set(where) == set(examples.SPLITS)
    only = splits_lib.split([random.bytes(32) for _ in range(count)], (1.0, 0.0, 0.0))
    assert set(only) == {"train"}


@pytest.mark.parametrize("drawn", ["valid", "test"])
def test_a_group_that_would_be_most_of_a_split_is_trained_on(drawn):
    random = np.random.default_rng(0)
    names = [random.bytes(32) for _ in range(60)]
    alone = splits_lib.split(names, (0.8, 0.1, 0.1))
    first = names[list(alone).index(drawn)]
    # With copies it has 6 of 65 pieces, then 21 of 80. A tenth may stay in the split.
    for more, split in [(5, drawn), (20, "train")]:
        where = splits_lib.split(names + [first] * more, (0.8, 0.1, 0.1))
        assert set(where[60:]) == {split}
        others = [name != first for name in names]
        assert (where[:60] == alone)[others].all()
