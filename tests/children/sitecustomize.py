"""Which lines and branches the children of tests run: commands, servers, workers.

Python imports this module when it starts, because conftest.py puts its folder on the
path of all children while slipcover measures. Slipcover itself edits bytecode, which
takes seconds in each child. Here the package gets marks in its syntax tree instead,
compiled once for a run of tests. A child that is killed tells nothing.
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

# Of slipcover's plugin, removed at the end of the run.
FOLDER = os.environ.get("SLIPCOVER_COVERAGE_DIR", "")
PACKAGE = pathlib.Path(__file__).parents[2] / "poph_tf"
# Numba compiles these from their bytecode.
OMITTED = tuple(os.environ.get("SLIPCOVER_OMIT", "").split(","))

# (path, line), and (path, from, to) of a branch.
hits: set[tuple] = set()


class MarkingLoader(importlib.machinery.SourceFileLoader):
    """Compiles a module with marks; keeps its code for the next child."""

    def get_code(self, fullname):
        kept = pathlib.Path(FOLDER, f"{fullname}.marshal")
        if not kept.exists():
            draft = kept.with_suffix(f".{os.getpid()}")
            draft.write_bytes(marshal.dumps(marked_code(self.path)))
            draft.rename(kept)
        return marshal.loads(kept.read_bytes())


class MarkingFinder:
    """Finds the modules of the package and gives them that loader."""

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
    """The code of a file in which each statement and each branch says that it runs."""
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
        # Those two stay the first; slipcover adds `global`, and marks without a line.
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
    """Writes what has run to a file that is there as a whole or not at all.

    A child may be killed while it writes, or still write when the run ends.
    """
    draft = pathlib.Path(FOLDER, f"draft-{os.getpid()}-{time.monotonic_ns()}.json")
    draft.write_text(json.dumps(list(hits)))
    draft.rename(draft.with_name(draft.name.replace("draft", "child", 1)))
    hits.clear()


def exit_and_tell(code, *, exit_at_once=os._exit):
    """As forks and workers end, which call nothing of atexit."""
    tell()
    exit_at_once(code)


if __name__ == "sitecustomize" and FOLDER and "PYTEST_XDIST_WORKER" in os.environ:
    builtins.mark_as_run = hits.add
    sys.meta_path.insert(0, MarkingFinder())
    atexit.register(tell)
    os._exit = exit_and_tell
