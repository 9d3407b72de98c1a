"""Runs the tests on a mutant in a fork, starting with those that run its line.

TensorFlow, the package and the tests are imported once. In each fork, the changed
function replaces the original one, so nothing is imported again; a mutant of code that
runs on import (a constant, a default) imports the package again. Loops that numba
compiles run as Python.
"""

import collections
import contextlib
import ctypes
import dataclasses
import gc
import importlib
import json
import os
import pathlib
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mutation.faults import PARTS, Mutant

OPTIONS = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
# Seconds of further tests from the same files, for a mutant that has survived so far.
REST_SECONDS = 30.0
MEMORY = 4 << 30  # bytes, beyond what the process has mapped
PR_SET_PDEATHSIG = 1  # from linux/prctl.h
SURVIVED, KILLED, SLOW, UNREACHED = "survived", "killed", "timeout", "unreached"
ERROR = "error"  # in this tool


@dataclasses.dataclass
class Reach:
    """Which tests run which lines, and how much CPU time they take."""

    tests: dict[str, dict[int, list[str]]]  # by path and line
    seconds: dict[str, float]

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests for a mutant, the quickest first; empty if none runs its line.

        If no test seems to run a function, TensorFlow has rewritten it or it runs in
        another process: then all tests judge it. Otherwise, further tests from the same
        files follow, since a shared fixture is only made for the first test.
        """
        lines = self.tests.get(mutant.path, {})
        place = mutant.place
        direct = {*lines.get(place.statement, ()), *lines.get(mutant.line, ())}
        if not direct and any(lines.get(n) for n in place_lines(mutant)):
            return []
        files = {name.split("::")[0] for name in direct}
        rest = [t for t in self.seconds if not direct or t.split("::")[0] in files]
        first = sorted(direct, key=self._cost)
        return first + self._within(sorted(set(rest) - direct, key=self._cost), direct)

    def _cost(self, test: str) -> float:
        return self.seconds[test]

    def _within(self, tests: Sequence[str], direct: set[str]) -> list[str]:
        """As many tests as there is time for; all if none runs the line."""
        used, kept = 0.0, []
        for test in tests:
            used += self.seconds[test]
            if direct and used > REST_SECONDS:
                break
            kept.append(test)
        return kept


def place_lines(mutant: Mutant) -> range:
    """The lines of the mutant's function, from the first statement up to its own."""
    return range(mutant.place.first_line + 1, mutant.line + 1)


class Session:
    """A pytest plugin that passes the collected tests to `work` and runs none."""

    def __init__(self, work: Callable[[Any], None]) -> None:
        self.work = work

    def pytest_runtestloop(self, session: Any) -> bool:
        """Replaces pytest's own loop."""
        self.work(session)
        return True


def run_items(session: Any, items: Sequence[Any]) -> bool:
    """Runs tests until one fails; returns whether all passed."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return False
    return True


def _limit(cpu_seconds: int) -> None:
    """Limits the resources of a run, and silences pytest."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    import resource  # not available on Windows

    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    pages = int(pathlib.Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def in_fork(work: Callable[[], bool], cpu_seconds: float, seconds: float) -> str:
    """Runs `work` in a fork; returns survived (it returned True), killed, or timeout.

    However this process ends, Linux ends the fork and its children.
    """
    child = os.fork()
    if child == 0:
        code = 3
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setsid()
            _limit(int(cpu_seconds) + 1)
            code = 0 if work() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    status: int | None = None
    try:
        while status is None and time.monotonic() < end:
            done, found = os.waitpid(child, os.WNOHANG)
            if done:
                status = found
            else:
                time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
        return SLOW
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (
        signal.SIGXCPU,
        signal.SIGKILL,
    ):
        return SLOW
    return {0: SURVIVED, 1: KILLED}.get(os.waitstatus_to_exitcode(status), ERROR)


def measure(session: Any, place: pathlib.Path, log: pathlib.Path) -> None:
    """Runs all tests once and writes which lines each one runs.

    Raises:
        RuntimeError: If a test fails without a mutant.
    """

    def work() -> bool:
        import coverage

        cover = coverage.Coverage(
            data_file=None, include=[f"{place}/poph_tf/*"], config_file=False
        )
        seconds = {}
        cover.start()
        for item, following in zip(
            session.items, [*session.items[1:], None], strict=True
        ):
            cover.switch_context(item.nodeid)
            begun = time.process_time()
            hook = session.config.hook
            hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = time.process_time() - begun
            if session.testsfailed:
                log.write_text(json.dumps({"failed": item.nodeid}), "utf-8")
                return False
        cover.stop()
        data = cover.get_data()
        lines = {
            str(pathlib.Path(path).relative_to(place / "poph_tf")): {
                line: [name for name in names if name]
                for line, names in data.contexts_by_lineno(path).items()
            }
            for path in data.measured_files()
        }
        log.write_text(json.dumps({"tests": lines, "seconds": seconds}), "utf-8")
        return True

    if in_fork(work, 3000, 3000) != SURVIVED:
        raise RuntimeError(
            f"A test fails without a mutant: {log.read_text('utf-8')[:300]}"
        )


def read_reach(log: pathlib.Path) -> Reach:
    """Reads what `measure` wrote."""
    found = json.loads(log.read_text("utf-8"))
    tests = {
        path: {int(line): names for line, names in lines.items()}
        for path, lines in found["tests"].items()
    }
    return Reach(tests, found["seconds"])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


Functions = dict[tuple[str, str, int], list[types.FunctionType]]


def functions_below(place: pathlib.Path) -> Functions:
    """All existing functions of the package, by file, name and first line."""
    found: Functions = collections.defaultdict(list)
    for function in gc.get_objects():
        if isinstance(function, types.FunctionType):
            code = function.__code__
            if code.co_filename.startswith(f"{place}/poph_tf/"):
                found[_key(code)].append(function)
    return dict(found)


def _key(code: types.CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def patch(functions: Functions, path: pathlib.Path, mutant: Mutant) -> None:
    """Gives the existing functions the code of the mutant's file.

    Raises:
        LookupError: If there are none.
    """
    key = (str(path), mutant.place.function, mutant.place.first_line)
    whole = compile(path.read_bytes(), str(path), "exec")
    code = next(code for code in _codes(whole) if _key(code) == key)
    for function in functions[key]:
        function.__code__ = code


def judge(
    session: Any, reach: Reach, functions: Functions, mutant: Mutant,
    path: pathlib.Path, seconds: float,
) -> str:  # fmt: skip
    """The verdict on a mutant whose file has already been changed."""
    names = reach.chosen(mutant)
    if not names:
        return UNREACHED
    by_name = {item.nodeid: item for item in session.items}
    items = [by_name[name] for name in names]

    def work() -> bool:
        patch(functions, path, mutant)
        return run_items(session, items)

    usual = sum(reach.seconds[name] for name in names)
    return in_fork(work, 20 + 3 * usual, seconds)


def import_anew(part: str, place: pathlib.Path, seconds: float) -> str:
    """The verdict on a mutant of code that runs on import."""

    def work() -> bool:
        import pytest

        return pytest.main([*OPTIONS, *tests_of(part, place)]) == 0

    return in_fork(work, seconds, seconds)


def tests_of(part: str, place: pathlib.Path) -> list[str]:
    """The test files of a part."""
    return [str(place / "tests" / name) for name in PARTS[part][1]]


def by_part(mutants: Sequence[Mutant]) -> dict[str, list[Mutant]]:
    """The mutants of each part, in order."""
    found = collections.defaultdict(list)
    for mutant in mutants:
        found[mutant.part].append(mutant)
    return dict(found)


def collect(part: str, place: pathlib.Path, work: Callable[[Any], None]) -> bool:
    """Imports the tests of a part in a fork, and runs `work` with them there."""

    def whole() -> bool:
        import pytest

        importlib.invalidate_caches()
        session = Session(work)
        tests = tests_of(part, place)
        return pytest.main([*OPTIONS, *tests], plugins=[session]) in (0, 5)

    return in_fork(whole, 36_000, 36_000) == SURVIVED


def enter(place: pathlib.Path) -> None:
    """Makes all further imports come from the copy of the checkout."""
    os.chdir(place)
    sys.path[0] = os.environ["PYTHONPATH"] = str(place)
    sys.dont_write_bytecode = True
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    os.environ["HYPOTHESIS_PROFILE"] = "unshrunk"
    # Forks of a multithreaded process could wait for locks that nobody releases.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"
    for name in [name for name in sys.modules if name.split(".")[0] == "poph_tf"]:
        del sys.modules[name]
