"""Mutants: which faults are made where, and that the seed sets the sample."""

import ast
import os
import subprocess
import sys

import pytest
from systems import needs_posix

from poph_tf.errors import InputError
from tools import mutate

faults = mutate.faults


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("a < b", "a <= b"),
        ("a + b", "a - b"),
        ("a and b", "a or b"),
        ("not a", "a"),
        ("-a", "a"),
        ("True", "False"),
        ("7", "8"),
        ("a if b else c", "a if not b else c"),
        ("a in b", "a not in b"),
    ],
)
def test_a_fault_is_small(code, fault):
    node = ast.parse(code, mode="eval").body
    assert ast.unparse(faults.changed(node)) == fault
    assert ast.unparse(node) == code  # the original stays


@pytest.mark.parametrize("code", ["a", "'text'", "None", "f(a)"])
def test_what_has_no_fault_to_make_stays(code):
    assert faults.changed(ast.parse(code, mode="eval").body) is None


def test_mutants_leave_annotations_and_messages_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "ROOT", tmp_path)
    (tmp_path / "poph_tf").mkdir()
    path = tmp_path / "poph_tf" / "module.py"
    path.write_text(
        """def f(a: 'Literal[1]' = 2) -> tuple[3]:
    if a > 4:
        raise ValueError(f"{5}" + str(6))
    return "é" * a + 7
"""
    )
    found = faults.mutants_of("part", path)
    assert {(m.before, m.after) for m in found} == {
        ("2", "(3)"),
        ("a > 4", "(a >= 4)"),
        ("4", "(5)"),
        ('"é" * a + 7', "('é' * a - 7)"),
        ('"é" * a', "('é' / a)"),
        ("7", "(8)"),
    }
    for mutant in found:
        source = path.read_bytes()
        assert source[mutant.start : mutant.end].decode() == mutant.before


def test_the_sample_is_drawn_by_its_seed_and_even_over_the_parts():
    parts = ["losses", "host_randomness"]
    drawn = faults.sample(6, 1, parts)
    assert [m.part for m in drawn] == 3 * parts
    assert drawn != faults.sample(6, 2, parts)
    # A larger sample begins with the same mutants.
    assert faults.sample(8, 1, parts)[:6] == drawn


def test_an_edit_leaves_the_rest_of_a_sample_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "ROOT", tmp_path)
    monkeypatch.setattr(faults, "PARTS", {"part": (["*.py"], [])})
    path = tmp_path / "poph_tf" / "module.py"
    path.parent.mkdir()
    code = "def f(a):\n    return a * 2 + 2 - a % 3\n\ndef g(a):\n    return -a\n"
    samples = []
    for head in ("", "x = 'text'\n\n"):
        path.write_text(head + code)
        samples.append([(m.before, m.after) for m in faults.sample(99, 1)])
    assert samples[0] == samples[1] and len(samples[0]) == 8
    path.write_text(code.replace("-a", "a"))
    fewer = [(m.before, m.after) for m in faults.sample(99, 1)]
    assert fewer == [pair for pair in samples[0] if pair[0] != "-a"]


def test_files_and_tests_of_all_parts_exist():
    for globs, tests in faults.PARTS.values():
        for glob in globs:
            assert list((faults.ROOT / "poph_tf").glob(glob)), glob
        for name in tests:
            assert (faults.ROOT / "tests" / name.split("::")[0]).exists(), name


def test_an_unknown_part_is_refused():
    with pytest.raises(InputError, match="No part 'x'; there are"):
        faults.sample(1, 1, ["x"])


def test_the_summary_counts_what_survived():
    rows = [
        {"name": "a.py:1: a -> b", "part": "losses", "verdict": "survived"},
        {"name": "a.py:2: a -> b", "part": "losses", "verdict": "killed"},
        {"name": "b.py:3: a -> b", "part": "layers", "verdict": "timeout"},
    ]
    lines = mutate.summary(rows).splitlines()
    assert lines[2] == "| losses | 2 | 1 | 0 | 1 | 0 | 50% |"
    assert lines[4] == "| all | 3 | 1 | 1 | 1 | 0 | 67% |"
    assert lines[-1] == "survived a.py:1: a -> b"


def test_what_is_alive_is_judged_again_where_asked(tmp_path):
    mutants = faults.sample(4, 1, ["losses"])
    log = tmp_path / "log.jsonl"
    assert mutate.left_of(mutants, mutate.rows_of(log), again=False) == mutants
    survived, killed, unreached, new = mutants
    for mutant, verdict in (
        (killed, "survived"),
        (killed, "killed"),  # the last one counts
        (survived, "survived"),
        (unreached, "unreached"),
    ):
        mutate._note(log, mutant, verdict)
    rows = mutate.rows_of(log)
    assert mutate.left_of(mutants, rows, again=False) == [new]
    assert mutate.left_of(mutants, rows, again=True) == [survived, unreached, new]


FORKS = """
import sys, time
from mutation import judging

def wait():
    print("begun", file=sys.stderr, flush=True)
    time.sleep(60)
    return True

judging.in_fork(lambda: judging.in_fork(wait, 9, 60) == judging.SURVIVED, 9, 60)
"""


@needs_posix
def test_its_forks_end_with_the_tool_however_it_ends():
    paths = os.pathsep.join(map(str, (faults.ROOT, faults.ROOT / "tools")))
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths},
    ) as tool:
        assert tool.stderr is not None and tool.stderr.readline() == b"begun\n"
        tool.kill()
        # The pipe closes when the last fork has ended.
        assert tool.communicate(timeout=30)[1] == b""
