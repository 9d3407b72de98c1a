"""The table of composed and harmonized music beside real music."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from poph_tf.config import Track
from poph_tf.data import matrices, reading, writing

ROOT = Path(__file__).parents[2]
SATB = [Track(name, 52, voice=True) for name in ("soprano", "alto", "tenor", "bass")]


def chorale(step):
    """Two bars of quarters: a scale harmonized in parallel, as no one should."""
    stack = np.zeros((32, 4, 128, 3), np.uint8)
    for beat in range(8):
        for voice, pitch in enumerate((72, 67, 64, 48)):
            cell = stack[4 * beat : 4 * beat + 4, voice, pitch + beat % 3 + step]
            cell[:] = (1, 0, 64)
            cell[0, 1] = 1
    return matrices.from_stack(stack, SATB, (np.arange(32) % 16).astype(np.uint8))


def test_composed_and_harmonized_pieces_stand_beside_real_ones(tmp_path):
    pieces = [chorale(step) for step in range(3)]
    splits = {"train": pieces, "valid": pieces[:1], "test": pieces[:2]}
    writing.write(splits, "bach", tmp_path / "data", SATB)
    words = ["--model_dir=chorales", "--num_pieces=2", "--num_bars=2"]
    words += [f"--reference={tmp_path}/data", f"--data_dir={tmp_path}/data"]
    words += [f"--output_dir={tmp_path}/out"]
    command = [sys.executable, ROOT / "tools/measure_music.py", *words]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed == (tmp_path / "out/music.md").read_text("utf-8")
    assert "| mean | real | composed | harmonized |" in printed
    found = json.loads((tmp_path / "out/music.json").read_text("utf-8"))
    # Every change of the real pieces has parallels, and all four voices sound.
    assert found["composed"]["parallels"]["reference"]["mean"] > 100
    assert found["composed"]["final_voices"]["reference"]["mean"] == 4
    assert found["harmonized"]["ends_with_the_melody"] == 1
    assert len(list((tmp_path / "out").glob("composed-*.mid"))) == 2
    harmonized = reading.read_notes(tmp_path / "out/harmonized-01.mid")
    melody = matrices.onsets(pieces[1].tracks[0].cells).any(axis=0)
    assert set(np.flatnonzero(melody)) <= set(harmonized.pitch)
