"""Where a model directory or a data set came from: versions and commit."""

import contextlib
import pathlib
import platform
import subprocess
from importlib import metadata
from typing import Any

import poph_tf

PACKAGES = ("tensorflow", "keras", "note-seq", "numpy")


def describe() -> dict[str, Any]:
    """Versions and commit of the running program, ready for JSON."""
    return {
        "poph_tf": poph_tf.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    with contextlib.suppress(metadata.PackageNotFoundError):
        # tensorflow-cpu is another distribution of the same module.
        return f"{metadata.version(f'{name}-cpu')} ({name}-cpu)"
    return None


def _commit() -> str | None:
    """The checkout's commit, or None if the package was installed without one."""
    root = pathlib.Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
