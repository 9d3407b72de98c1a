"""Model cards: what they must contain, and that they state the measured figures."""

import json
import subprocess
import sys

import pytest
import small

from poph_tf import config
from poph_tf.errors import InputError
from poph_tf.evaluation import model_cards

TOOL = small.ROOT / "tools" / "publish_pretrained.py"
ABOUT = {
    "description": "Chorales.",
    "data": "Made by hand.",
    "licence": "Apache-2.0.",
    "good": ["Short."],
    "bad": ["Tame."],
}
TEST = {
    "play_nats_per_step": 2.5,
    "replay_nats_per_step": 0.25,
    "num_steps": 1234,
    "num_pieces": 7,
    "play_f1": 0.75,
    "marginal_play_nats_per_step": 11.0,
    "out_of_key_share": 0.06,
    "styles": {
        "bach": {
            "play_nats_per_step": 2.125,
            "replay_nats_per_step": None,
            "num_steps": 234,
        }
    },
}


def write_model(folder):
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"weights")
    settings = {
        "model": config.preset("poph2").to_dict(),
        "training": config.TrainingConfig(max_steps=9).to_dict(),
        "num_parameters": 54321,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return settings


def test_a_card_has_the_figures_of_each_style(tmp_path):
    settings = write_model(tmp_path / "run")
    text = model_cards.render("x", ABOUT | {"figures": {"test": TEST}}, settings)
    assert "| bach | 2.125 | – | 234 |" in text
    assert "| all | 2.500 | 0.250 | 1,234 |" in text
    assert "54,321 parameters" in text and "pitches 36 to 83" in text
    assert "- Weak: Tame." in text
    assert "## Music" not in text


def test_a_card_has_the_music_beside_real_music(tmp_path):
    music = {"num_composed": 3, "num_reference": 9, "seconds": 1}
    music["parallels"] = {"composed": {"mean": 1.25}, "reference": {"mean": 0.5}}
    music["final_voices"] = {"composed": None, "reference": {"mean": 4.0}}
    settings = write_model(tmp_path / "run")
    text = model_cards.render("x", ABOUT | {"figures": {"music": music}}, settings)
    assert (
        "| parallel fifths or octaves, per 100 changes of chord | 1.250 | 0.5" in text
    )
    assert "| voices sounding at the end | – | 4.000 |" in text
    assert "3 pieces composed" in text and "semitone" not in text


@pytest.mark.parametrize("missing", sorted(ABOUT))
def test_a_card_without_its_texts_is_refused(tmp_path, missing):
    write_model(tmp_path / "run")
    card = {name: text for name, text in ABOUT.items() if name != missing}
    with pytest.raises(InputError, match=missing):
        model_cards.publish(tmp_path / "run", tmp_path / "out", card)
    assert not (tmp_path / "out").exists()


def test_wrong_input_replaces_nothing(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    write_model(run)
    model_cards.publish(run, out, ABOUT | {"figures": {"test": TEST}})
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (run / "model.keras").write_bytes(b"others")
    swapped = ABOUT | {"figures": {"test": {"density": []}}}
    with pytest.raises(InputError, match="figures of out must be what .* 'num_pieces'"):
        model_cards.publish(run, out, swapped)
    (run / "model.keras").unlink()
    with pytest.raises(InputError, match="model.keras does not exist"):
        model_cards.publish(run, out, ABOUT)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_converted_model_does_not_stay_beside_other_weights(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    write_model(run)
    card = ABOUT | {"figures": {"test": TEST}}
    (run / "step.tflite").write_bytes(b"converted")
    model_cards.publish(run, out, card)
    assert (out / "step.tflite").read_bytes() == b"converted"
    (run / "step.tflite").unlink()
    model_cards.publish(run, out, card)
    assert not (out / "step.tflite").exists()


def test_the_command_publishes_and_keeps_the_card_for_new_figures(tmp_path):
    write_model(tmp_path / "run")
    (tmp_path / "about.json").write_text(json.dumps(ABOUT))
    (tmp_path / "test.json").write_text(json.dumps(TEST))

    def run(*arguments):
        command = [sys.executable, str(TOOL), "--name=x"]
        command += [f"--model_dir={tmp_path / 'run'}", f"--output_dir={tmp_path}"]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False
        )

    assert run(f"--about={tmp_path / 'about.json'}").returncode == 0
    assert run(f"--test={tmp_path / 'test.json'}").returncode == 0
    controls = {"num_pieces": 2, "num_bars": 1, "density": [], "key": []}
    (tmp_path / "controls.json").write_text(json.dumps(controls))
    former = run(f"--steering={tmp_path / 'controls.json'}")
    assert former.stderr == "warning: --steering is now called --controls.\n"
    card = json.loads((tmp_path / "x" / "card.json").read_text())
    assert card["figures"]["controls"] == controls
    assert card["description"] == "Chorales." and card["figures"]["test"] == TEST
    text = (tmp_path / "x" / "card.md").read_text()
    assert "2.125" in text and "2 pieces of 1 bars for each value." in text
    assert (tmp_path / "x" / "model.keras").read_bytes() == b"weights"
    failed = run(f"--about={tmp_path / 'none.json'}")
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1
