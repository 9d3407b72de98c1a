"""Finds the code that a result depends on, so that it is not listed by hand.

Intermediate results on disk are valid only while the code that made them is the same:
a module and all modules of this package that it imports, directly or not, at its top or
inside a function.
"""

import ast
import hashlib
import pathlib
from collections.abc import Iterator

_ROOT = pathlib.Path(__file__).parents[3]
_PACKAGE = pathlib.Path(__file__).relative_to(_ROOT).parts[0]


def digest(module: str) -> str:
    """SHA-256 of the source of a module and of all that it depends on."""
    hashed = hashlib.sha256()
    for name in source_files(module):
        hashed.update(f"{name}\n".encode())
        hashed.update(read(name))
    return hashed.hexdigest()


def source_files(module: str) -> list[str]:
    """The files of a module and its dependencies, relative to the package's parent.

    Example:
        >>> "poph_tf/errors.py" in source_files("poph_tf.data.shards")
        True
    """
    found: set[str] = set()
    left = [module]
    while left:
        path = _path(left.pop())
        if path and path not in found:
            found.add(path)
            left += _imported(ast.parse(read(path)))
    return sorted(found)


def read(name: str) -> bytes:
    """The content of a source file."""
    return (_ROOT / name).read_bytes()


def _path(module: str) -> str | None:
    """The file of a module of this package; None for any other name."""
    parts = module.split(".")
    if parts[0] != _PACKAGE:
        return None
    stem = "/".join(parts)
    names = (f"{stem}.py", f"{stem}/__init__.py")
    return next((name for name in names if (_ROOT / name).is_file()), None)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                # Either a module of a package, or a name in a module.
                name = f"{node.module}.{alias.name}"
                yield name if _path(name) else node.module
