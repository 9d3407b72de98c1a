"""Records the lines and branches that child processes of tests execute.

Children are commands, servers and workers. Python imports this module at start-up:
conftest.py puts its folder on their path while slipcover measures. Slipcover edits
bytecode, which takes seconds per child; this module adds marks to the syntax tree
instead, compiled once per test run. A child that is killed reports nothing.
"""

import atexit
import builtins
import importlib.machinery
import json
import marshal
import os
import pathlib
import sys
import time

# Made by slipcover's plugin and removed at the end of the run.
FOLDER = os.environ.get("SLIPCOVER_COVERAGE_DIR", "")
PACKAGE = pathlib.Path(__file__).parents[2] / "poph_tf"
# Numba compiles these from their bytecode.
OMITTED = tuple(os.environ.get("SLIPCOVER_OMIT", "").split(","))

# (path, line) of a line, (path, from, to) of a branch.
hits: set[tuple] = set()


class MarkingLoader(importlib.machinery.SourceFileLoader):
    """Compiles a module with marks; caches the code for the next child."""

    def get_code(self, fullname):
        kept = pathlib.Path(FOLDER, f"{fullname}.marshal")
        if not kept.exists():
            draft = kept.with_suffix(f".{os.getpid()}")
            draft.write_bytes(marshal.dumps(marked_code(self.path)))
            draft.rename(kept)
        return marshal.loads(kept.read_bytes())


class MarkingFinder:
    """Finds the modules of the package and gives them the marking loader."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] != PACKAGE.name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        for finder in others:
            spec = finder.find_spec(fullname, path, target)
            if spec:
                if spec.origin and not spec.origin.endswith(OMITTED):
                    spec.loader = MarkingLoader(fullname, spec.origin)
                return spec
        return None


def marked_code(path):
    """Compiles a file so that each statement and branch records when it runs."""
    import ast

    from slipcover import branch

    def mark(*place):
        call = ast.Name("mark_as_run", ast.Load())
        argument = ast.Constant((path, *place))
        return ast.Expr(ast.Call(call, [argument], []))

    def before(statement):
        line = getattr(statement, "lineno", 0)
        if sys.version_info >= (3, 12) and branch.is_branch(line):
            return [mark(*branch.decode_branch(line))]
        value = statement.value if isinstance(statement, ast.Expr) else None
        is_text = isinstance(value, ast.Constant)
        is_future = getattr(statement, "module", None) == "__future__"
        # Those two must stay first; slipcover adds `global` and marks without a line.
        skipped = is_text or is_future or isinstance(statement, ast.Global)
        return [] if skipped or not line else [mark(line)]

    class Marks(ast.NodeTransformer):
        def visit_Assign(self, node):
            # How slipcover marks a branch before Python 3.12.
            if getattr(node.targets[0], "id", "") != branch.BRANCH_NAME:
                return self.generic_visit(node)
            return mark(*(end.value for end in node.value.elts))

        def generic_visit(self, node):
            super().generic_visit(node)
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list):
                    marked = ([*before(statement), statement] for statement in block)
                    setattr(node, name, sum(marked, []))
            return node

    tree = branch.preinstrument(ast.parse(pathlib.Path(path).read_bytes()))
    tree = ast.fix_missing_locations(Marks().visit(tree))
    return compile(tree, path, "exec", dont_inherit=True)


def tell():
    """Writes what has run to a file, atomically.

    A child may be killed while writing, or may still be writing when the run ends.
    """
    draft = pathlib.Path(FOLDER, f"draft-{os.getpid()}-{time.monotonic_ns()}.json")
    draft.write_text(json.dumps(list(hits)))
    draft.rename(draft.with_name(draft.name.replace("draft", "child", 1)))
    hits.clear()


def exit_and_tell(code, *, exit_at_once=os._exit):
    """Tells, then exits: forks and workers do not run atexit handlers."""
    tell()
    exit_at_once(code)


if __name__ == "sitecustomize" and FOLDER and "PYTEST_XDIST_WORKER" in os.environ:
    builtins.mark_as_run = hits.add
    sys.meta_path.insert(0, MarkingFinder())
    atexit.register(tell)
    os._exit = exit_and_tell
