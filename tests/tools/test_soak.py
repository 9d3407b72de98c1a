"""The soak test counts correctly and detects the faults that it looks for."""

import pytest

from poph_tf.data import recovery
from tools import soak


def test_changed_bytes_in_records_cost_one_record_at_most():
    verdicts = [verdict for verdict, _ in soak.records(seed=3)]
    assert len(verdicts) == soak.CASES_A_TURN
    assert set(verdicts) <= {soak.READ, soak.REFUSED}
    assert soak.REFUSED in verdicts


def test_records_lost_in_silence_are_seen(monkeypatch):
    sound = recovery.records
    monkeypatch.setattr(soak.recovery, "records", lambda path, _: sound(path))
    assert "a record lost in silence" in {verdict for verdict, _ in soak.records(3)}


def test_what_raises_is_a_failure_and_the_others_go_on(monkeypatch):
    def broken(seed):
        yield soak.READ, ""
        raise ValueError(f"seed {seed}")

    monkeypatch.setitem(soak.KINDS, "broken", broken)
    counts, failures = soak.run(["broken", "records"], seconds=0, seed=5)
    assert counts["broken"] == {soak.READ: 1, "failed": 1}
    assert sum(counts["records"].values()) == soak.CASES_A_TURN
    assert failures == [
        {"kind": "broken", "problem": "ValueError: seed 5", "turn": "0"}
    ]
    assert "| broken | 2 | 1 | 0 | 1 |" in soak.table(counts)


@pytest.mark.parametrize("kind", ["abc", "krn"])
def test_each_kind_of_music_is_of_its_own_format(kind, monkeypatch):
    seen = []
    monkeypatch.setattr(
        soak.fuzz_readers,
        "run",
        lambda k, *_: (seen.append(k), ({"reasons": {}}, []))[1],
    )
    assert list(soak.KINDS[kind](1)) == []
    assert seen == [kind]


def test_requests_of_openapi_are_counted_by_their_answers(monkeypatch):
    counts = {"POST /a": {"200": 2, "400": 3, "500": 1}, "GET /b": {"503": 1}}
    faults = ["POST /a: answered 500"]
    monkeypatch.setattr(soak, "_server", lambda: "http://x/")
    monkeypatch.setattr(soak.fuzz_api, "fuzz", lambda *_: (counts, faults))
    counts, failures = soak.run(["openapi"], seconds=0)
    assert counts["openapi"] == {soak.READ: 2, soak.REFUSED: 4, "failed": 1}
    assert [row["problem"] for row in failures] == faults
