"""What a model directory or a data set says of where it came from."""

import json
import os
import platform
import subprocess

import poph_tf

PACKAGES = ("tensorflow", "keras", "note-seq", "numpy")


def describe():
    """Versions and commit of what runs now, a JSON-ready dict."""
    from importlib import metadata

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # tensorflow-cpu is another distribution over the same module.
            versions[name] = _installed(f"{name}-cpu")
    return {
        "poph_tf": poph_tf.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": versions,
    }


def _installed(name):
    from importlib import metadata

    try:
        return f"{metadata.version(name)} ({name})"
    except metadata.PackageNotFoundError:
        return None


def _commit():
    """The checkout's commit, or None where the package was installed without one."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.exists(os.path.join(root, ".git")):
        return None
    command = ["git", "-C", root, "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def write_json(path, value):
    """Writes JSON under a temporary name and renames it: never half of it."""
    temporary = f"{path}.writing"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
