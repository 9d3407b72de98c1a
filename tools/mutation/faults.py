"""Small faults in the code: where they can be made, and a sample of them.

Changes that no test could see are left out: annotations, decorators, messages,
assertions, code for type checkers, `strict` of zip and cache sizes; comparisons where
equal values may go either way (`if a < b: a = b` does the same with `<=`); and the
choice between machine code and Python, which must agree.
"""

import ast
import collections
import copy
import dataclasses
import pathlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from poph_tf.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Each part: its files, and as few and as quick tests as possible to judge them.
PARTS = {
    "losses": (["models/losses.py"], ["models/test_losses.py"]),
    "layers": (
        ["models/layers/*.py"],
        ["models/test_layers.py", "models/test_layer_steps.py"]
        + ["models/test_frame_attention.py", "models/test_voice_leading.py"]
        + ["models/test_look_ahead.py", "models/test_chord_progression.py"]
        + ["models/test_scale_degrees.py"],
    ),
    "matrices": (
        ["data/matrices.py", "data/piano_rolls.py", "data/cells.py"],
        ["data/test_matrices.py", "data/test_voice_rolls.py"]
        + ["data/test_piano_rolls.py", "generation/test_given_music.py"],
    ),
    "quantization": (
        ["data/quantization*.py"],
        ["data/test_quantization.py", "data/test_ritardando.py"]
        + ["data/test_examples.py"],
    ),
    "sampler": (
        ["generation/sampler.py", "generation/controls.py"],
        ["generation/test_sampler_steps.py"]
        + ["generation/test_sampler.py::test_prefill_counts_silent_steps"],
    ),
    "host_randomness": (
        ["generation/host_randomness.py", "generation/randomness.py"],
        [
            "generation/test_light_engine.py"
            "::test_random_numbers_are_those_of_the_graph_bit_for_bit",
            "generation/test_random_numbers.py",
        ],
    ),
    "form_and_chords": (
        ["generation/form.py", "data/beat_chords.py", "named_chords.py"],
        ["data/test_beat_chords.py", "test_named_chords.py"]
        + [
            f"generation/test_form.py::test_{name}"
            for name in (
                "letters_by_hand",
                "a_drawn_form_begins_anew_and_never_before_the_first_bar",
                "a_run_begins_below_its_threshold",
                "the_graph_draws_the_same_forms",
                "drawn_forms_come_back_as_often_as_those_of_real_songs",
                "steps_follow_the_bars_a_pickup_and_what_is_remembered",
            )
        ],
    ),
    "readers": (
        ["data/midi*.py", "data/musicxml*.py", "data/abc*.py", "data/mei*.py"]
        + ["data/humdrum.py", "data/score*.py", "data/bars.py"],
        [f"data/test_{name}.py" for name in ("midi", "midi_repairs", "bars")]
        + [f"data/test_{name}.py" for name in ("musicxml", "musicxml_files", "abc")]
        + [f"data/test_{name}.py" for name in ("mei", "humdrum", "scores")]
        + ["data/test_ornaments.py"],
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
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True)
class Place:
    """A place in a file: the outermost function, its first line, and a statement."""

    function: str = ""  # as in __qualname__; empty: runs on import
    first_line: int = 0
    statement: int = 0
    classes: str = ""  # prefix of the names of the functions here


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: replaces a file's text from `start` to `end` by `after`."""

    part: str
    path: str  # below poph_tf
    line: int
    column: int
    start: int  # bytes
    end: int
    before: str
    after: str
    place: Place

    @property
    def name(self) -> str:
        """Its name in the log."""
        return f"{self.path}:{self.line}:{self.column}: {self.before} -> {self.after}"

    def applied(self, source: bytes) -> bytes:
        """The file with the fault."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def changed(node: ast.AST) -> ast.AST | None:
    """A copy of a node with one small fault, or None if none can be made."""
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


def _is_unseen(node: ast.AST) -> bool:
    """Whether no test could see a fault here."""
    match node:
        case ast.JoinedStr() | ast.Raise() | ast.Assert():
            return True
        case ast.keyword(arg="strict" | "maxsize" | "stacklevel"):
            return True
        case ast.IfExp(test=ast.Name("compiled")):
            return True
        case ast.If(test=test):
            return "TYPE_CHECKING" in ast.unparse(test)
    return False


def _is_either_way(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether the node is `if a < b: a = b`, which does the same with `<=`."""
    match node:
        case ast.If(
            test=ast.Compare(
                left, [ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()], [right]
            ),
            body=[ast.Assign([target], value)],
            orelse=[],
        ):
            sides = {ast.unparse(left), ast.unparse(right)}
            return sides == {ast.unparse(target), ast.unparse(value)}
    return False


def _code_below(node: ast.AST, place: Place) -> Iterator[tuple[ast.AST, Place]]:
    """All nodes whose effect a test can see, each with its place."""
    for child in ast.iter_child_nodes(node):
        here = place
        if _is_unseen(child):
            continue
        if isinstance(child, ast.stmt):
            here = dataclasses.replace(here, statement=child.lineno)
        if isinstance(child, _FUNCTION | ast.ClassDef | ast.AnnAssign | ast.arg):
            yield from _below_definition(child, here)
            continue
        if _is_either_way(child):
            child = ast.Module(body=child.body, type_ignores=[])
        yield child, here
        yield from _code_below(child, here)


def _below_definition(child: Any, here: Place) -> Iterator[tuple[ast.AST, Place]]:
    """The nodes of a function, class or name, without decorators and annotations."""
    if isinstance(child, ast.arg):
        return
    if isinstance(child, ast.AnnAssign):
        if child.value is not None:
            yield from _code_below(ast.Expr(child.value), here)
        return
    inside = here
    if not here.function:
        name = here.classes + child.name
        if isinstance(child, ast.ClassDef):
            inside = dataclasses.replace(here, classes=f"{name}.")
        else:
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            inside = dataclasses.replace(here, function=name, first_line=first)
    if isinstance(child, _FUNCTION):
        yield from _code_below(child.args, here)
    yield from _code_below(ast.Module(body=child.body, type_ignores=[]), inside)


def mutants_of(part: str, path: pathlib.Path) -> list[Mutant]:
    """Every mutant of a file."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, place in _code_below(ast.parse(source), Place()):
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
        position = (node.lineno, node.col_offset, start, end)
        found.append(Mutant(part, name, *position, before, after, place))
    return found


def sample(count: int, seed: int, parts: Sequence[str] = ()) -> list[Mutant]:
    """Draws mutants, the same number from each part, alternating between the parts.

    Raises:
        InputError: If there is no such part.
    """
    if unknown := set(parts) - set(PARTS):
        raise InputError(f"No part {sorted(unknown)[0]!r}; there are {list(PARTS)}.")
    drawn = []
    for part in parts or PARTS:
        paths = (p for glob in PARTS[part][0] for p in (ROOT / "poph_tf").glob(glob))
        of_part = [m for path in sorted(paths) for m in mutants_of(part, path)]
        drawn.append(_shuffled(of_part, seed)[: -(-count // len(parts or PARTS))])
    turns = max(map(len, drawn))
    return [ms[turn] for turn in range(turns) for ms in drawn if turn < len(ms)][:count]


def _shuffled(mutants: Sequence[Mutant], seed: int) -> list[Mutant]:
    """Shuffles mutants by the seed; an edit only affects the code that it changes."""
    alike: collections.Counter[str] = collections.Counter()

    def draw(mutant: Mutant) -> float:
        function, before, after = mutant.place.function, mutant.before, mutant.after
        what = f"{seed} {mutant.path} {function} {before} {after}"
        alike[what] += 1
        return random.Random(f"{what} {alike[what]}").random()

    return sorted(mutants, key=draw)
