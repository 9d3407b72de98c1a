"""Fuzz tests from MIDI bytes to a record (more: tests/midi_fuzz.py)."""

import midi_fuzz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poph_tf.config import DataConfig
from poph_tf.data import midi_note_seq, reading
from poph_tf.errors import MusicFileError

LIMITS = DataConfig(input=("x",))


def test_thousands_of_damaged_files_become_a_record_or_a_reason():
    result = midi_fuzz.run(6000)
    assert sum(result["cases"].values()) == 6000
    assert result["cases"][None] > 500
    # Each kind of fault occurs and has its own reason.
    assert len(result["cases"]) >= 12


@pytest.mark.parametrize("name", midi_fuzz.absurd())
def test_absurd_files_become_a_record_or_a_reason(name):
    midi_fuzz.judge(midi_fuzz.absurd()[name](), LIMITS)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_become_a_record_or_a_reason(data, with_head):
    head = b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + len(data).to_bytes(4, "big")
    data = head + data if with_head else data
    midi_fuzz.judge(data, LIMITS)
    try:
        assert midi_note_seq.parse(data, "a.mid").ticks_per_quarter > 0
    except MusicFileError as error:
        assert error.reason


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a.abc", "a.xml", "a.mxl"]))
def test_any_bytes_under_any_name_are_read_or_refused(data, name):
    try:
        reading.parse(data, name)
    except MusicFileError as error:
        assert error.reason
