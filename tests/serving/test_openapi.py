"""Requests that OpenAPI allows, and others (more: tools/fuzz_api.py)."""

import pathlib
import sys

import pytest
import systems

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import fuzz_api

pytest.importorskip("schemathesis")


@pytest.fixture(scope="module")
def url():
    process, url = fuzz_api.started("chorales")
    yield url
    process.terminate()
    assert process.wait(60) == 0 or not systems.IS_POSIX


def test_whatever_is_asked_is_answered_or_refused_with_a_sentence(url):
    counts, faults = fuzz_api.fuzz(url, count=100, seed=0)
    assert faults == []
    assert counts["POST /v1/compose"]["200"] > 0
    assert counts["POST /v1/compose"]["400"] > 0
