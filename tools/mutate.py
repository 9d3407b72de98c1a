"""Mutation testing: changes one place of the code at a time; a test must fail.

    python tools/mutate.py --count=300 --seed=1 --log=mutants.jsonl

A sample of mutants, the same number from each part of `PARTS`, is drawn by the seed.
Each is judged by the tests of its part alone, in a copy of the checkout; those that the
log holds already are not judged again. Prints, for each part, how many were killed, and
the survivors with their lines. TensorFlow is imported once: each mutant runs in a fork.
"""

import ast
import copy
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS


# Each part: its files, and the tests that judge them.
PARTS = {
    "losses": (["models/losses.py"], ["models/test_losses.py"]),
    "layers": (
        ["models/layers/*.py"],
        ["models/test_layers.py", "models/test_layer_steps.py"]
        + ["models/test_frame_attention.py", "models/test_voice_leading.py"],
    ),
    "matrices": (
        ["data/matrices.py", "data/piano_rolls.py", "data/cells.py"],
        ["data/test_matrices.py", "data/test_voice_rolls.py"],
    ),
    "quantization": (["data/quantization*.py"], ["data/test_quantization.py"]),
    "sampler": (
        ["generation/sampler.py", "generation/controls.py"],
        ["generation/test_sampler.py", "generation/test_controls.py"]
        + ["generation/test_golden.py", "generation/test_drawing_tracks.py"],
    ),
    "host_randomness": (
        ["generation/host_randomness.py", "generation/randomness.py"],
        ["generation/test_light_engine.py", "generation/test_golden.py"],
    ),
    "readers": (
        ["data/midi*.py", "data/musicxml*.py", "data/abc*.py", "data/mei*.py"]
        + ["data/humdrum.py", "data/score*.py", "data/bars.py"],
        [f"data/test_{name}.py" for name in ("midi", "midi_repairs", "musicxml")]
        + [f"data/test_{name}.py" for name in ("abc", "mei", "humdrum", "scores")],
    ),
}  # fmt: skip
_COMPARISONS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_FAULTY = (
    ast.Compare | ast.BinOp | ast.AugAssign | ast.BoolOp | ast.UnaryOp | ast.Constant
    | ast.IfExp | ast.Break | ast.Continue
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: the text from `start` to `end` of a file becomes `after`."""

    part: str
    path: str  # below poph_tf
    line: int
    start: int  # bytes
    end: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What the log knows it by."""
        return f"{self.path}:{self.line}: {self.before} -> {self.after}"


def changed(node: ast.AST) -> ast.AST | None:
    """A copy of a node with one small fault, or None where there is none to make."""
    if not isinstance(node, _FAULTY):
        return None
    new: Any = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[op, *_]) if type(op) in _COMPARISONS:
            new.ops[0] = _COMPARISONS[type(op)]()
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _OPERATORS:
            new.op = _OPERATORS[type(op)]()
        case ast.BoolOp(op=op):
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            new = operand
        case ast.Constant(value=bool(value)):
            new.value = not value
        case ast.Constant(value=int(value) | float(value)):
            new.value = value + 1
        case ast.IfExp(test=test):
            new.test = ast.UnaryOp(ast.Not(), test)
        case ast.Break():
            new = ast.Continue()
        case ast.Continue():
            new = ast.Break()
        case _:
            return None
    return new


def _code_below(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that do something: no annotations, messages, or code for checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr | ast.Raise | ast.Assert):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.AnnAssign | ast.arg | ast.FunctionDef):
            child = copy.copy(child)
            for field in ("annotation", "returns", "decorator_list"):
                if hasattr(child, field):
                    setattr(child, field, [] if field == "decorator_list" else None)
        yield child
        yield from _code_below(child)


def mutants_of(part: str, path: pathlib.Path) -> list[Mutant]:
    """Every mutant of a file."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in _code_below(ast.parse(source)):
        new = changed(node)
        if new is None or not isinstance(node, ast.expr | ast.stmt):
            continue
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        after = ast.unparse(ast.fix_missing_locations(new))
        if isinstance(node, ast.expr):
            after = f"({after})"
        before = source[start:end].decode()
        name = path.relative_to(ROOT / "poph_tf").as_posix()
        found.append(Mutant(part, name, node.lineno, start, end, before, after))
    return found


def sample(count: int, seed: int, parts: Sequence[str] = ()) -> list[Mutant]:
    """Draws mutants, the same number from each part, the parts by turns.

    Raises:
        InputError: If there is no such part.
    """
    if unknown := set(parts) - set(PARTS):
        raise InputError(f"No part {sorted(unknown)[0]!r}; there are {list(PARTS)}.")
    drawn = []
    for part in parts or PARTS:
        paths = (p for glob in PARTS[part][0] for p in (ROOT / "poph_tf").glob(glob))
        of_part = [m for path in sorted(paths) for m in mutants_of(part, path)]
        # A part's order does not depend on how many are asked for.
        random.Random(f"{seed} {part}").shuffle(of_part)
        drawn.append(of_part[: -(-count // len(parts or PARTS))])
    turns = max(map(len, drawn))
    return [ms[turn] for turn in range(turns) for ms in drawn if turn < len(ms)][:count]


def _test(part: str, place: pathlib.Path) -> None:
    """Runs the tests of a part in the copy; ends this process with pytest's code."""
    os.setsid()
    os.chdir(place)
    sys.path[0] = os.environ["PYTHONPATH"] = str(place)
    for name in [name for name in sys.modules if name.split(".")[0] == "poph_tf"]:
        del sys.modules[name]
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1), os.dup2(null, 2)
    # What numba compiled from other files does not notice that this one has changed.
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(dir=place)
    import pytest

    tests = [str(place / "tests" / name) for name in PARTS[part][1]]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    os._exit(int(pytest.main([*options, *tests])))


def judge(part: str, place: pathlib.Path, seconds: float) -> str:
    """What the tests of a part say of the copy: survived, killed or timeout."""
    child = os.fork()
    if child == 0:
        _test(part, place)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "killed" if status else "survived"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def try_mutant(mutant: Mutant, place: pathlib.Path, seconds: float) -> str:
    """Changes the copy, lets the tests judge it, and changes it back."""
    path = place / "poph_tf" / mutant.path
    sound = path.read_bytes()
    after = mutant.after.encode()
    path.write_bytes(sound[: mutant.start] + after + sound[mutant.end :])
    try:
        return judge(mutant.part, place, seconds)
    finally:
        path.write_bytes(sound)


def run(mutants: Sequence[Mutant], log: pathlib.Path, seconds: float) -> None:
    """Judges the mutants that the log does not hold yet.

    Raises:
        InputError: If the tests of a part fail without a mutant.
    """
    known = {row["name"] for row in rows_of(log)}
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        for name in ("poph_tf", "tests", "tools", "docs", "pyproject.toml"):
            _copy(ROOT / name, place / name)
        sound: set[str] = set()
        for mutant in (mutant for mutant in mutants if mutant.name not in known):
            if mutant.part not in sound:
                if judge(mutant.part, place, 3 * seconds) != "survived":
                    raise InputError(f"The tests of {mutant.part} fail as they are.")
                sound.add(mutant.part)
            verdict = try_mutant(mutant, place, seconds)
            row = {"name": mutant.name, "part": mutant.part, "verdict": verdict}
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignored)
    else:
        shutil.copy(source, target)


def rows_of(log: pathlib.Path) -> list[dict[str, str]]:
    """What a log holds, a dictionary for each mutant."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def summary(rows: Sequence[dict[str, str]]) -> str:
    """A table of the parts, then the survivors."""
    lines = ["| part | mutants | killed | too slow | survived | killed, share |"]
    lines.append("|---" * 6 + "|")
    for part in [*PARTS, "all"]:
        of_part = [r["verdict"] for r in rows if part in ("all", r["part"])]
        if of_part:
            killed, slow = of_part.count("killed"), of_part.count("timeout")
            left = of_part.count("survived")
            share = (killed + slow) / len(of_part)
            counts = (len(of_part), killed, slow, left, f"{share:.0%}")
            lines.append(f"| {part} | " + " | ".join(map(str, counts)) + " |")
    survivors = [row["name"] for row in rows if row["verdict"] == "survived"]
    return "\n".join([*lines, "", *survivors])


def main(_: Sequence[str]) -> None:
    """Draws the sample, judges it and prints the summary."""
    # Once, for all forks; before it starts any thread of its own.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import hypothesis  # noqa: F401
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401

    log = pathlib.Path(FLAGS.log)
    run(sample(FLAGS.count, FLAGS.seed, FLAGS.parts), log, FLAGS.seconds)
    print(summary(rows_of(log)))


def define_flags() -> None:
    """The flags of the command; a test that imports this defines none."""
    flags.DEFINE_integer(
        "count", 300, "Mutants, shared among the parts.", lower_bound=1
    )
    flags.DEFINE_integer("seed", 1, "Another seed draws another sample.")
    flags.DEFINE_list("parts", [], "Only these parts; empty: all.")
    flags.DEFINE_string("log", "mutants.jsonl", "A JSON object for each mutant.")
    flags.DEFINE_float("seconds", 300, "A mutant that takes longer is killed.")


if __name__ == "__main__":
    define_flags()
    commands.run(main)
