"""The key found for named chords."""

import pytest
from chord_progressions import PROGRESSIONS

from poph_tf import named_chords, theory


@pytest.mark.parametrize(("chords", "key"), PROGRESSIONS)
def test_known_progressions_are_in_their_key(chords, key):
    assert theory.key_name(named_chords.key_of_chords(chords)) == key


def test_no_chords_have_no_key():
    assert named_chords.key_of_chords(" | ") == theory.UNKNOWN
