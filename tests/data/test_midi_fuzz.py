"""Fuzz tests from bytes to a record (more: tools/fuzz_readers.py)."""

import midi_fuzz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_fuzz import fuzz_readers

from poph_tf.config import DataConfig
from poph_tf.data import midi_note_seq, reading
from poph_tf.errors import MusicFileError

LIMITS = DataConfig(input=("x",))


def test_thousands_of_damaged_files_become_a_record_or_a_reason():
    result, failures = fuzz_readers.run("midi", 1500)
    assert failures == []
    assert sum(result["reasons"].values()) == 1500
    assert result["reasons"][""] > 300
    # Every kind of fault occurs and has its own reason.
    assert len(result["reasons"]) >= 8


def test_a_crash_a_hang_and_a_waste_of_memory_are_told(monkeypatch):
    def crash(data, name, limits):
        raise KeyError("notes")

    def hang(data, name, limits):
        while True:
            pass

    def waste(data, name, limits):
        peak.append(peak[-1] + 101.0)

    peak = [50.0]
    monkeypatch.setattr(fuzz_readers, "_peak_mb", lambda: peak[-1])
    calls = iter([lambda *_: None, crash, hang, waste])
    monkeypatch.setattr(fuzz_readers, "judge", lambda *given: next(calls)(*given))
    _, failures = fuzz_readers.run("midi", 3, seconds=0.2, memory_mb=100)
    problems = [row["problem"] for row in failures]
    assert problems == [
        "KeyError: 'notes'",
        "TimeoutError: took longer than 0.2 seconds",
        "needed 101 MB",
    ]


@pytest.mark.parametrize("name", midi_fuzz.absurd())
def test_absurd_files_become_a_record_or_a_reason(name):
    midi_fuzz.judge(midi_fuzz.absurd()[name](), LIMITS)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_become_a_record_or_a_reason(data, with_head):
    head = b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + len(data).to_bytes(4, "big")
    data = head + data if with_head else data
    midi_fuzz.judge(data, LIMITS)
    try:
        assert midi_note_seq.parse(data, "a.mid").ticks_per_quarter > 0
    except MusicFileError as error:
        assert error.reason


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a.abc", "a.xml", "a.mxl"]))
def test_any_bytes_under_any_name_are_read_or_refused(data, name):
    try:
        reading.parse(data, name)
    except MusicFileError as error:
        assert error.reason
