"""The manual's C++ program harmonizes as the package does, without Python."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import small

import poph_tf
from poph_tf.config.tracks import Track
from poph_tf.data import matrices
from poph_tf.serving.api import scores

ROOT = small.TESTS.parent
PAGE = ROOT / "docs" / "reference" / "signatures.md"

pytestmark = pytest.mark.skipif(
    "POPH_SLOW" not in os.environ or not shutil.which("g++"),
    reason="g++ takes long: tools/full_test.sh runs it",
)


def commands():
    """The lines of the manual, from the export on."""
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return block


def quarters(pitches):
    """A soprano of quarter notes."""
    stack = np.zeros((4 * len(pitches), 1, 128, 3), np.uint8)
    for k, pitch in enumerate(pitches):
        stack[4 * k : 4 * k + 4, 0, pitch] = (1, 0, 80)
        stack[4 * k, 0, pitch, 1] = 1
    position = (np.arange(len(stack)) % 16).astype(np.uint8)
    return matrices.from_stack(stack, (Track("soprano"),), position)


def test_the_program_of_the_manual_draws_the_notes_of_the_package(tmp_path):
    for name in ("docs", "poph_tf"):
        (tmp_path / name).symlink_to(ROOT / name)
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    known["PATH"] = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", commands()],
        cwd=tmp_path, env=known, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # The export prints its folder first.
    _, *lines = done.stdout.splitlines()
    seed, *pitches = map(int, commands().split()[-9:])
    piece = poph_tf.load("chorales").harmonize(
        quarters(pitches), given=("soprano",), seed=seed
    )
    notes = scores.of_matrices(piece.matrices)["notes"]
    names = ("track", "start", "duration", "pitch")
    expected = {tuple(note[name] for name in names) for note in notes}
    assert {tuple(map(int, line.split())) for line in lines} == expected
    assert len({voice for voice, *_ in expected}) == 4
