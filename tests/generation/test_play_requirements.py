"""tools/play-requirements.txt lists everything that composing needs."""

import importlib.metadata
import pathlib
import re
import subprocess
import sys

import pytest
import smf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from poph_tf.data import midi_bytes

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES = (ROOT / "tools" / "play-requirements.txt").read_text("utf-8").splitlines()
REQUIRED = [Requirement(line) for line in LINES if not line.startswith("#")]
# Installed with --no-deps.
ALONE = {"poph-tf", "note-seq"}
# Runs a command as if the modules of its first argument were not installed.
WITHOUT = """
import runpy, sys
from importlib.machinery import PathFinder

hidden, find_spec = set(sys.argv.pop(1).split(",")), PathFinder.find_spec

def find_others(name, *place):
    return None if name.partition(".")[0] in hidden else find_spec(name, *place)

PathFinder.find_spec = find_others
runpy.run_module("poph_tf.generate", run_name="__main__", alter_sys=True)
"""


def with_dependencies(requirements):
    """Canonical names of distributions and of all their dependencies."""
    found, left = set(), list(requirements)
    while left:
        one = left.pop()
        name = canonicalize_name(one.name)
        if name not in found and (not one.marker or one.marker.evaluate({"extra": ""})):
            found.add(name)
            left += map(Requirement, importlib.metadata.requires(name) or [])
    return found


def hidden_modules():
    # Slipcover measures which lines the command runs.
    wanted = with_dependencies([*REQUIRED, Requirement("slipcover")]) | ALONE
    for module, owners in importlib.metadata.packages_distributions().items():
        if not wanted & set(map(canonicalize_name, owners)):
            yield module


@pytest.mark.parametrize(
    "task", [["--style=bach"], ["--primer=tune.mid"], ["--fix=tune.mid"]]
)
def test_the_command_composes_with_nothing_else_installed(task, tmp_path):
    hidden = set(hidden_modules())
    assert {"tensorflow", "scipy", "matplotlib"} < hidden
    notes = [
        event(480 * (k + ends), pitch)
        for k, pitch in enumerate((62, 66, 69, 74))
        for ends, event in enumerate((smf.on, smf.off))
    ]
    (tmp_path / "tune.mid").write_bytes(smf.file(notes))
    command = [sys.executable, "-c", WITHOUT, ",".join(hidden), *task]
    command += [f"--output_dir={tmp_path / 'out'}", "--num_pieces=1", "--num_bars=1"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    made = tmp_path / "out"
    assert {path.name for path in made.iterdir()} == {"piece-1.mid", "index.html"}
    assert len(midi_bytes.parse((made / "piece-1.mid").read_bytes(), "")) > 4


def test_bounds_are_those_of_the_package():
    setup = (ROOT / "setup.py").read_text("utf-8")
    core = re.search(r"install_requires=\[(.*?)\]", setup, re.DOTALL)[1]
    package = [Requirement(text) for text in re.findall(r'"(.+)"', core)]
    bounds = {one.name: one.specifier for one in package}
    for one in REQUIRED:
        assert bounds.get(one.name, one.specifier) == one.specifier, one.name
