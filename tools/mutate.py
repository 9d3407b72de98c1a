"""Mutation testing: changes the code in one place at a time; a test must fail.

    python tools/mutate.py --count=300 --seed=1 --log=mutants.jsonl

The seed draws a sample of mutants, the same number from each part of `PARTS`. The tests
of its part judge each mutant in a copy of the checkout, starting with those that run
its line. Mutants that are in the log already are not judged again, unless they survived
and `--again` is given. For each part, prints how many of the sample were killed, and
the survivors with their lines.
"""

import gc
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from absl import flags

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from mutation import faults, judging  # noqa: E402
from mutation.faults import Mutant  # noqa: E402

from poph_tf.cli import commands  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402
from poph_tf.evaluation import results  # noqa: E402

FLAGS = flags.FLAGS
# Columns of the table and the verdicts they count; the first two count as killed.
COLUMNS = {
    "killed": judging.KILLED,
    "too slow": judging.SLOW,
    "survived": judging.SURVIVED,
    "in no test": judging.UNREACHED,
}

Rows = dict[str, dict[str, str]]


def left_of(mutants: Sequence[Mutant], rows: Rows, again: bool) -> list[Mutant]:
    """The mutants without a verdict; with `again`, also those that are alive."""
    known = {name for name, row in rows.items() if not (again and _is_alive(row))}
    return [mutant for mutant in mutants if mutant.name not in known]


def _is_alive(row: dict[str, str]) -> bool:
    return row["verdict"] not in (judging.KILLED, judging.SLOW)


def run(left: Sequence[Mutant], log: pathlib.Path, seconds: float) -> None:
    """Judges mutants.

    Raises:
        InputError: If the tests of a part fail without a mutant.
    """
    log = log.absolute()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        for name in ("poph_tf", "tests", "tools", "docs", "pyproject.toml"):
            _copy(faults.ROOT / name, place / name)
        judging.enter(place)
        for part, of_part in judging.by_part(left).items():
            _run_part(part, of_part, place, log, seconds)


def _run_part(
    part: str, mutants: Sequence[Mutant], place: pathlib.Path, log: pathlib.Path,
    seconds: float,
) -> None:  # fmt: skip
    def work(session: Any) -> None:
        measured = place / f"{part}.json"
        judging.measure(session, place, measured)
        reach = judging.read_reach(measured)
        functions = judging.functions_below(place)
        gc.freeze()  # so that the collector does not make forks copy memory
        for mutant in (m for m in mutants if m.place.function):
            path = place / "poph_tf" / mutant.path
            with _Fault(path, mutant):
                verdict = judging.judge(
                    session, reach, functions, mutant, path, seconds
                )
            _note(log, mutant, verdict)

    if not judging.collect(part, place, work):
        raise InputError(f"The tests of {part} fail without a mutant.")
    for mutant in (m for m in mutants if not m.place.function):
        with _Fault(place / "poph_tf" / mutant.path, mutant):
            verdict = judging.import_anew(part, place, seconds)
        _note(log, mutant, verdict)


class _Fault:
    """Puts the fault into the copy's file until the block ends."""

    def __init__(self, path: pathlib.Path, mutant: Mutant) -> None:
        self.path, self.mutant, self.sound = path, mutant, path.read_bytes()

    def __enter__(self) -> None:
        self.path.write_bytes(self.mutant.applied(self.sound))

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.sound)


def _note(log: pathlib.Path, mutant: Mutant, verdict: str) -> None:
    row = {"name": mutant.name, "part": mutant.part, "verdict": verdict}
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignored)
    else:
        shutil.copy(source, target)


def rows_of(log: pathlib.Path) -> Rows:
    """The last row of each mutant in a log, by name."""
    if not log.exists():
        return {}
    rows = map(json.loads, log.read_text("utf-8").splitlines())
    return {row["name"]: row for row in rows}


def summary(rows: Sequence[dict[str, str]]) -> str:
    """A table of the parts, then the survivors."""
    lines = []
    for part in [*faults.PARTS, "all"]:
        of_part = [r["verdict"] for r in rows if part in ("all", r["part"])]
        if of_part:
            counts = [of_part.count(verdict) for verdict in COLUMNS.values()]
            share = (counts[0] + counts[1]) / len(of_part)
            lines.append([part, len(of_part), *counts, f"{share:.0%}"])
    head = ["part", "mutants", *COLUMNS, "killed, share"]
    alive = [f"{r['verdict']} {r['name']}" for r in rows if _is_alive(r)]
    return "\n".join([results.table(head, lines), *alive])


def main(_: Sequence[str]) -> None:
    """Draws the sample, judges it and prints the summary."""
    # Imported once for all forks, before TensorFlow starts threads.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import hypothesis  # noqa: F401
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401

    log = pathlib.Path(FLAGS.log)
    mutants = faults.sample(FLAGS.count, FLAGS.seed, FLAGS.parts)
    run(left_of(mutants, rows_of(log), FLAGS.again), log, FLAGS.seconds)
    rows = rows_of(log)
    print(summary([rows[mutant.name] for mutant in mutants]))


if __name__ == "__main__":  # A test that imports this must not define flags.
    flags.DEFINE_integer(
        "count", 300, "Total number of mutants, over all parts.", lower_bound=1
    )
    flags.DEFINE_integer("seed", 1, "Seed of the sample.")
    flags.DEFINE_list("parts", [], "Only these parts; empty: all.")
    flags.DEFINE_string("log", "mutants.jsonl", "A JSON object for each mutant.")
    flags.DEFINE_bool("again", False, "Judge the survivors in the log again.")
    flags.DEFINE_float("seconds", 300, "A mutant that takes longer counts as killed.")
    commands.run(main)
