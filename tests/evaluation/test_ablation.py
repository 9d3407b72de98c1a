"""Ablations: what is compared with what, worked by hand, and one small run."""

import dataclasses
import functools
import json

import numpy as np
import pytest
import small

from poph_tf import config
from poph_tf.config import GenerationConfig
from poph_tf.data import matrices, midi
from poph_tf.errors import InputError
from poph_tf.evaluation import ablation, ablation_report, results
from poph_tf.evaluation.runs import Runner
from poph_tf.generation import engine
from poph_tf.rendering import figures

KEPT = small.ROOT / "results" / "ablation"
TINY = small.SIZES | {"style_units": 3, "num_time_layers": 1, "num_pitch_layers": 1}


def result(variant, seed, nats, composed=None):
    """A run that validated every half epoch, 10 seconds apart."""
    count = len(nats)
    return {
        "case": "bach",
        "variant": variant,
        "seed": seed,
        "parameters": 1234,
        "curve": {
            "nats": nats,
            "epoch": [0.5 * (k + 1) for k in range(count)],
            "seconds": [10.0 * (k + 1) for k in range(count)],
        },
        "composed": composed
        or {"out_of_key_share": 0.1, "harmony": 0.2, "notes_per_step": 3.0},
    }


RESULTS = {
    "deepj": [result("deepj", 0, [9.0, 5.0, 6.0]), result("deepj", 1, [8.0, 7.0, 4.0])],
    "poph_no_harmony": [result("poph_no_harmony", 0, [9.0, 8.0, 7.0])],
    "poph": [result("poph", 0, [7.0, 4.0, 3.0]), result("poph", 1, [6.0, 6.0, 5.0])],
}


def test_a_curve_reaches_a_target_between_two_validations():
    curve = result("poph", 0, [7.0, 4.0, 3.0])["curve"]
    # From 7 to 4 nats, 5 is two thirds of the way.
    assert ablation_report.reached(curve, 5.0, "epoch") == pytest.approx(0.5 + 1 / 3)
    assert ablation_report.reached(curve, 5.0, "seconds") == pytest.approx(10 + 20 / 3)
    assert ablation_report.reached(curve, 7.5, "epoch") == 0.5
    assert ablation_report.reached(curve, 3.0, "epoch") == 1.5
    assert ablation_report.reached(curve, 2.9, "epoch") is None


def test_the_table_has_medians_over_seeds_and_compares_seed_by_seed():
    lines = ablation_report.table({"bach": RESULTS}).splitlines()
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in lines[3:]}
    deepj, poph = ([c.strip() for c in rows[name]] for name in ("deepj", "poph"))
    # Seed 0 reaches its last 6 nats three quarters of the way from 9 to 5.
    assert deepj[:6] == [
        "1,234",
        "2",
        "4.500",
        "5.000 (4.000 to 6.000)",
        "1.19",
        "23.8",
    ]
    # Seed 0 reaches 6 nats after a third of the second half epoch; seed 1 stays above
    # the 4 nats of its DeepJ.
    assert poph[:4] == ["1,234", "2", "4.000", "4.000 (3.000 to 5.000)"]
    assert poph[4] == "0.667 (1 of 2)"
    none = [c.strip() for c in rows["poph_no_harmony"]]
    assert none[1:6] == ["1", "7.000", "7.000", "never", "never"]
    assert poph[-3:] == ["0.100", "0.200", "3.00"]


def test_the_harmony_term_is_not_counted():
    found = {"loss": 5.0, "harmony": 0.25}
    assert ablation.likelihood_part(found, 2.0) == 4.5
    assert ablation.likelihood_part(found, 0.0) == 5.0


def test_figures_of_pieces_by_hand():
    cells = np.zeros((2, 128, 3), np.uint8)
    cells[0, [60, 64, 67]] = 1, 0, 64  # a C major triad, then silence
    bars = np.zeros(2, np.uint8)
    piece = matrices.Matrices(cells=cells, bar_position=bars)
    found = ablation.figures_of([piece], config.preset("poph"))
    assert found["harmony"] == pytest.approx((0.2915 + 5 / 12) / 2, abs=1e-4)
    assert found["out_of_key_share"] == 0.0 and found["notes_per_step"] == 1.5


def test_the_table_replaces_only_the_text_between_its_marks(tmp_path):
    page = tmp_path / "ABLATION.md"
    ablation_report.write(page, "| one |\n")
    page.write_text(page.read_text("utf-8") + "\nA verdict.\n", "utf-8")
    ablation_report.write(page, "| two |\n")
    text = page.read_text("utf-8")
    assert "| two |" in text and "| one |" not in text
    assert text.startswith("# Ablations") and text.endswith("\nA verdict.\n")
    page.write_text("no marks", "utf-8")
    with pytest.raises(InputError, match="must have the lines"):
        ablation_report.write(page, "")


def test_results_are_read_and_drawn(tmp_path):
    for runs in RESULTS.values():
        for run in runs:
            path = tmp_path / f"bach-{run['variant']}-seed-{run['seed']}.json"
            path.write_text(json.dumps(run), "utf-8")
    cases = ablation_report.read(tmp_path)
    assert cases == {"bach": RESULTS}
    picture = figures.to_png(ablation_report.figure(cases))
    assert picture[:4] == b"\x89PNG"
    with pytest.raises(InputError, match="holds no results"):
        ablation_report.read(tmp_path / "images")


def test_figures_of_real_pieces_are_kept_and_replaced_case_by_case(tmp_path):
    first, second = {"out_of_key_share": 0.25}, {"out_of_key_share": 0.5}
    ablation_report.keep_real(tmp_path, {"bach": first})
    assert ablation_report.keep_real(tmp_path, {}) == {"bach": first}
    found = ablation_report.keep_real(tmp_path, {"jazz": second})
    assert found == {"bach": first, "jazz": second}
    found = ablation_report.keep_real(tmp_path, {"bach": second})
    assert found == {"bach": second, "jazz": second}


def test_each_variant_lacks_the_part_that_its_name_gives():
    configs = {
        name: config.preset(preset, **own)
        for name, (preset, own) in ablation.VARIANTS.items()
    }
    assert set(configs) == set(ablation_report.COLORS)
    whole, deepj = configs["poph"], configs["deepj"]
    assert (whole.harmony_weight, whole.pitch_attention) == (1.0, "before_time")
    assert (deepj.harmony_weight, deepj.pitch_attention) == (0.0, "none")
    assert configs["poph_no_harmony"].pitch_attention == "before_time"
    assert configs["poph_no_harmony"].harmony_weight == 0.0
    assert configs["poph_no_attention"].pitch_attention == "none"
    assert configs["poph_no_attention"].harmony_weight == 1.0


def test_one_piece_is_learned_and_a_finished_run_is_not_run_again(
    tmp_path, monkeypatch
):
    # XLA would compile for longer than composing takes.
    composer = functools.partial(engine.Engine, jit_compile=False)
    monkeypatch.setattr(engine, "Engine", composer)
    path, work_dir = tmp_path / "tune.mid", tmp_path / "runs"
    midi.write(matrices.to_sequence(small.random_piece(0, 40)), str(path))
    case = ablation.one_piece(path, work_dir)
    planned = ablation.plan(
        case,
        "poph_no_attention",
        TINY,
        {"max_steps": 2, "validate_every": 1, "window_steps": 16, "batch_size": 2},
    )
    training = planned.training
    assert training.min_transpose == training.max_transpose == 0
    composed = GenerationConfig(num_pieces=1, num_bars=1)
    lines, output_dir = [], tmp_path / "results"
    where = (Runner(work_dir, report=lines.append), output_dir)
    done = ablation.run(planned, composed, *where)
    assert done["curve"]["step"] == [1, 2] and len(lines) == 3
    assert done["curve"]["nats"][1] < done["curve"]["nats"][0]
    assert 0 < done["curve"]["seconds"][0] < done["curve"]["seconds"][1]
    assert done["composed"]["num_bars"] == 1
    assert done["settings"]["training"]["seed"] == 0
    again = ablation.run(planned, composed, *where)
    assert again == json.loads(json.dumps(done)) and len(lines) == 4
    name = "one-tune-poph_no_attention-seed-0.json"
    assert again == results.read(output_dir / name)
    for changed in (
        {"training": dataclasses.replace(training, max_steps=3)},
        {"model": dataclasses.replace(planned.model, dropout=0.1)},
    ):
        other = dataclasses.replace(planned, **changed)
        with pytest.raises(InputError, match=f"{name} is a result of other"):
            ablation.run(other, composed, *where)
    other = GenerationConfig(num_pieces=2, num_bars=1)
    with pytest.raises(InputError, match="settings or data .num_pieces is 1, wanted"):
        ablation.run(planned, other, *where)
    assert ablation.real_figures(planned)["notes_per_step"] > 1


@pytest.mark.parametrize("path", sorted(KEPT.glob("*-seed-*.json")), ids=str)
def test_results_of_earlier_versions_are_found_again(path):
    stored = results.read(path)
    model = config.ModelConfig.from_dict(stored["settings"]["model"])
    training = config.TrainingConfig.from_dict(stored["settings"]["training"])
    settings = {"model": model.to_dict(), "training": training.to_dict()}
    results.check_same(path, stored, {"settings": settings})
    settings["model"]["pitch_context"] = "neither"
    with pytest.raises(InputError, match="pitch_context"):
        results.check_same(path, stored, {"settings": settings})
