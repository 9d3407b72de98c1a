"""Wrong input to a command ends with one clear line and changes nothing."""

import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import small
import systems

from poph_tf import config, files, models

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
BENCHMARK = str(ROOT / "tools" / "benchmark_likelihood.py")

# command -> {what is wrong: (arguments, part of the line)}; {words} are paths in the
# folder that `place` fills.
WRONG = {
    "poph_tf.train": {
        "no_flags": ([], "--data_dir must be given"),
        "stray_word": (["data"], "Takes flags only"),
        "unknown_flag": (["--batchsize=3"], "Did you mean: batch_size ?"),
        "usual_name": (["--lr=0.1"], "flag 'lr'. Did you mean: learning_rate ?"),
        "text_for_a_number": (["--batch_size=many"], "batch_size"),
        "missing_folder": (["--data_dir={none}"], "No folder"),
        "empty_folder": (["--data_dir={empty}"], "holds no data set"),
        "other_format": (["--data_dir={other_format}"], "format version 999"),
        "damaged_info": (["--data_dir={damaged_info}"], "damaged"),
        "lost_shard": (["--data_dir={lost_shard}"], "is missing"),
        "no_valid_split": (["--data_dir={train_only}"], "no split 'valid'"),
        "unknown_preset": (["--preset=lstm"], "preset must be one of"),
        "unknown_key": (["--set=num_time_unit=3"], "did you mean 'num_time_units'"),
        "no_key": (["--set=num_time_units"], "key=value"),
        "impossible_value": (
            ["--set=num_heads=0"],
            "num_heads must be a whole number from 1 to 64, got 0",
        ),
        "text_for_a_setting": (["--set=dropout=much"], "dropout must be a number"),
        "styles_no_list": (["--set=styles=3"], "styles must be a list of strings"),
        "odd_combination": (["--set=window_width=24"], "window_width must be odd"),
        "unknown_training_key": (["--train=lr=1"], "no setting 'lr'"),
        "negative_rate": (
            ["--learning_rate=-1"],
            "learning_rate must be a number from 0.0 to 100.0",
        ),
        "unknown_optimizer": (["--optimizer=lion"], "should be one of <adam|"),
        "unknown_strategy": (["--strategy=many"], "should be one of <default|"),
        "cosine_without_end": (["--schedule=cosine"], "needs max_steps"),
        "only_warm_up": (
            ["--schedule=cosine", "--max_steps=5", "--warmup_steps=5"],
            "warmup_steps must be below max_steps",
        ),
        "replicas_below_none": (
            ["--strategy=mirrored", "--cpu_replicas=-1"],
            "cpu_replicas must be a whole number from 0 to 64",
        ),
        "cores_and_replicas": (
            ["--strategy=mirrored", "--cpu_replicas=2", "--cores=2"],
            "--cores needs one replica on one CPU, got 2",
        ),
        "replicas_elsewhere": (
            ["--cpu_replicas=2"],
            "cpu_replicas needs strategy=mirrored",
        ),
        "index_without_hosts": (
            ["--worker_index=1"],
            "worker_index needs worker_hosts",
        ),
        "no_cluster": (["--strategy=multi_worker_mirrored"], "needs --worker_hosts"),
        "negative_bars": (
            ["--window_steps=-1"],
            "window_steps must be a whole number from 2 to",
        ),
        "another_model_there": (
            ["--preset=biaxial", "--model_dir={model}", "--set=num_time_units=7"],
            "holds a run with",
        ),
        "model_dir_is_a_file": (["--model_dir={file}"], "Cannot write in"),
    },
    "poph_tf.evaluate": {
        "no_flags": ([], "--model_dir must be given"),
        "missing_folder": (["--data_dir={none}"], "No folder"),
        "empty_folder": (["--data_dir={empty}"], "holds no data set"),
        "other_format": (["--data_dir={other_format}"], "format version 999"),
        "lost_shard": (["--data_dir={lost_shard}"], "is missing"),
        "missing_split": (["--data_dir={train_only}"], "no split 'test'"),
        "unknown_split": (["--split=all"], "split"),
        "no_model_dir": (["--model_dir={none}"], "no model directory"),
        "no_weights": (["--model_dir={empty}"], "holds no model.keras"),
        "damaged_weights": (["--model_dir={damaged}"], "is not a model of poph_tf"),
        "other_styles": (["--data_dir={other_styles}"], "does not know: monk"),
        "batch_of_none": (["--batch_size=0"], "batch_size"),
    },
    "poph_tf.generate": {
        "no_flags": ([], "--output_dir must be given"),
        "no_such_model": (["--model_dir=sonata"], "no model directory 'sonata'"),
        "two_models": (["--pretrained=scores"], "not both"),
        "no_model_dir": (["--model_dir={none}"], "no model directory"),
        "no_weights": (["--model_dir={empty}"], "holds no model.keras"),
        "unknown_style": (["--style=monk"], "has no style 'monk'"),
        "style_elsewhere": (["--style=trecento"], "A pretrained model has it: scores."),
        "unknown_task": (["--task=harmonise"], "task must be one of compose, continue"),
        "folder_as_primer": (["--primer={empty}"], "a folder, not a file"),
        "no_weight": (["--style=bach:much"], "weight must be a number"),
        "negative_bars": (["--num_bars=-1"], "num_bars must be"),
        "no_pieces": (["--num_pieces=0"], "num_pieces must be"),
        "no_temperature": (["--temperature=nan"], "temperature must be"),
        "unknown_key": (["--key=H major"], "key must be"),
        "missing_primer": (["--primer={none}.mid"], "none.mid"),
        "text_as_primer": (["--primer={text}"], "text.mid"),
        "text_as_melody": (["--fix={text}"], "text.mid"),
        "no_piece_to_redraw": (["--redraw=2-3"], "redraw needs a primer"),
        "no_bars": (["--redraw=few"], "bars must be such"),
        "unknown_voice": (["--fix_as=tenor"], "should be one of <melody|"),
        "no_metre": (["--metre=waltz"], "metre must be"),
        "no_candidates": (["--best_of=0"], "best_of must be a whole number from 1"),
        "output_is_a_file": (["--output_dir={file}"], "must be a folder"),
        "output_below_a_file": (["--output_dir={file}/out"], "Not a directory"),
    },
    "poph_tf.export": {
        "no_flags": ([], "--model_dir must be given"),
        "no_model_dir": (["--model_dir={none}"], "no model directory"),
        "no_weights": (["--model_dir={empty}"], "holds no model.keras"),
        "no_steps": (["--max_steps=0"], "max_steps must be a whole number from 1 to"),
        "export_dir_is_a_file": (["--export_dir={file}"], "Cannot write in"),
    },
    BENCHMARK: {
        "no_flags": ([], "must be given"),
        "missing_file": (["--data={none}.npz"], "There is no file"),
        "other_kind": (["--data={text}"], "must be one of .npz"),
        "text_as_npz": (["--data={text_npz}"], "is not a piano-roll benchmark"),
        "zip_without_arrays": (["--data={zip_npz}"], "is not a piano-roll benchmark"),
        "text_as_pickle": (["--data={text_pickle}"], "is not a piano-roll benchmark"),
        "empty_pickle": (["--data={empty_pickle}"], "is not a piano-roll benchmark"),
        "pitch_outside": (["--data={high_pickle}"], "21 to 108"),
        "unknown_preset": (["--preset=lstm"], "preset must be one of"),
        "unknown_key": (["--set=units=3"], "no setting 'units'"),
        "no_weights": (["--evaluate_only"], "There are no weights"),
        "valid_only_as_the_result": (["--valid_only"], "--valid_only needs a --label"),
        "valid_only_as_another_result": (
            ["--valid_only", "--label=poph2"],
            "that is not the name of a preset",
        ),
        "valid_only_without_a_name": (
            ["--valid_only", "--label="],
            "that is not the name of a preset",
        ),
    },
}
# A command's arguments unless a case replaces them.
USUAL = {
    "poph_tf.train": {"data_dir": "{data}", "model_dir": "{new}"},
    "poph_tf.evaluate": {"data_dir": "{data}", "model_dir": "{model}"},
    "poph_tf.generate": {"model_dir": "{model}", "output_dir": "{new}"},
    "poph_tf.export": {"model_dir": "{model}", "export_dir": "{new}"},
    BENCHMARK: {
        "dataset": "tiny",
        "data": "{npz}",
        "work_dir": "{work}",
        "output_dir": "{new}",
    },
}
CASES = [(command, case) for command, cases in WRONG.items() for case in cases]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Fills a folder with good and bad input: name -> path."""
    folder = tmp_path_factory.mktemp("commands")
    pieces = [small.random_piece(k, 20) for k in range(2)]
    splits = dict.fromkeys(("train", "valid", "test"), pieces)
    styles = ("bach", "palestrina")
    data = pathlib.Path(small.write_data_set(folder / "data", splits, styles))
    small.write_data_set(folder / "train_only", {"train": pieces}, styles)
    small.write_data_set(folder / "other_styles", splits, ("bach", "monk"))
    for name in ("other_format", "damaged_info", "lost_shard"):
        shutil.copytree(data, folder / name)
    info = json.loads((data / "dataset_info.json").read_text())
    info["format_version"] = 999
    (folder / "other_format" / "dataset_info.json").write_text(json.dumps(info))
    (folder / "damaged_info" / "dataset_info.json").write_text("{")
    for shard in (folder / "lost_shard").glob("*.gz"):
        shard.unlink()
    for name in ("empty", "model", "damaged"):
        (folder / name).mkdir()
    model = small.model("poph")
    models.save(model, str(folder / "model"))
    settings = {
        "model": model.config.to_dict(),
        "training": config.TrainingConfig().to_dict(),
        "data": {"id": info["id"]},
    }
    files.write_json(folder / "model" / models.SETTINGS_FILE, settings)
    (folder / "damaged" / models.WEIGHTS_FILE).write_text("not weights")
    write_benchmarks(folder)
    (folder / "file").write_text("a file")
    (folder / "text.mid").write_text("a text")
    places = {path.name: path for path in folder.iterdir()}
    extra = {"none": "none", "new": "new", "work": "work", "text": "text.mid"}
    extra |= {"npz": "tiny.npz", "text_npz": "text.npz", "zip_npz": "zip.npz"}
    extra |= {f"{n}_pickle": f"{n}.pickle" for n in ("text", "empty", "high")}
    return places | {name: folder / path for name, path in extra.items()}


def write_benchmarks(folder):
    roll = np.packbits(np.eye(3, 88, dtype=np.uint8), axis=1)
    arrays = dict.fromkeys(("train", "valid", "test"), roll)
    lengths = {f"{name}_lengths": np.array([3]) for name in arrays}
    np.savez(folder / "tiny.npz", **arrays, **lengths)
    np.savez(folder / "zip.npz", other=roll)
    (folder / "text.npz").write_text("a text")
    (folder / "text.pickle").write_text("a text")
    (folder / "empty.pickle").write_bytes(b"")
    pickled = {name: [[(60,), (109,)]] for name in arrays}
    (folder / "high.pickle").write_bytes(pickle.dumps(pickled))


def arguments_of(command, case, place):
    given, _ = WRONG[command][case]
    named = {argument.lstrip("-").partition("=")[0] for argument in given}
    if case not in ("no_flags", "stray_word"):
        usual = USUAL[command].items()
        given = [f"--{k}={v}" for k, v in usual if k not in named] + given
    return [argument.format(**place) for argument in given]


def listing(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def outcomes(place, tmp_path_factory):
    """(command, case) -> (exit code, stdout, stderr), and the files left behind."""
    if not systems.IS_POSIX:
        pytest.skip(systems.ONLY_POSIX)
    folder, answers = place["data"].parent, tmp_path_factory.mktemp("answers")
    before, found = listing(folder), {}
    asked = {
        command: [arguments_of(command, case, place) for case in cases]
        for command, cases in WRONG.items()
    }
    child = subprocess.run(
        [sys.executable, str(HERE / "command_child.py"), str(answers)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    for number, (command, cases) in enumerate(WRONG.items()):
        outcomes = json.loads((answers / f"{number}.json").read_text())
        for case, outcome in zip(cases, outcomes, strict=True):
            found[command, case] = outcome
    return found, listing(folder) - before


@pytest.mark.parametrize(
    ("command", "case"), CASES, ids=[f"{pathlib.Path(c).stem}-{k}" for c, k in CASES]
)
def test_wrong_input_ends_with_one_line_that_says_what_is_wrong(
    outcomes, command, case
):
    code, out, err = outcomes[0][command, case]
    assert "Traceback" not in err, err
    assert code == 2, (out, err)
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and err.strip() == lines[0], err
    assert WRONG[command][case][1] in lines[0]


def test_wrong_input_leaves_nothing_behind(outcomes):
    left = {path for path in outcomes[1] if not path.startswith("work")}
    assert not left


def test_a_command_in_a_process_of_its_own_ends_with_its_line_and_code(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "poph_tf.generate", f"--model_dir={tmp_path}/none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr == "error: --output_dir must be given; see --help.\n"


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("poph_tf/generate.py", "num_bars"),
        ("poph_tf/train.py", "learning_rate"),
        ("poph_tf/serve.py", "port"),
        ("poph_tf/live.py", "call_bars"),
        ("poph_tf/evaluate.py", "cores"),
        ("poph_tf/export.py", "force"),
        ("tools/make_tfrecords.py", "input"),
    ],
)
def test_help_tells_the_settings_and_imports_no_tensorflow(command, flag):
    result = subprocess.run(
        [sys.executable, "-X", "importtime", command, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert f"  --{flag}: " in result.stdout.replace("[no]", "")
    assert "absl.flags" in result.stderr and "tensorflow" not in result.stderr


@pytest.mark.parametrize(
    ("flag", "line"),
    [("--set=help", "num_time_units=256 ("), ("--train=help", "ema_decay=0.0 (")],
)
def test_settings_without_flags_are_listed(flag, line):
    result = subprocess.run(
        [sys.executable, "-m", "poph_tf.train", flag],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert line in result.stdout


@pytest.mark.parametrize(
    "words",
    [["--helpfull"], ["--helpshort"], ["-h"], ["--num_bars=x", "--help"]],
    ids=" ".join,
)
def test_help_is_no_failure(words):
    result = subprocess.run(
        [sys.executable, "-m", "poph_tf.generate", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "  --num_bars: " in result.stdout


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_flag_without_upper_bound_is_no_nan_and_not_infinite(value):
    result = subprocess.run(
        [sys.executable, "tools/soak.py", f"--minutes={value}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    expected = f"error: --minutes must be a finite number, got {value}.\n"
    assert (result.returncode, result.stderr) == (2, expected)


def test_a_command_prints_its_version():
    import poph_tf

    result = subprocess.run(
        [sys.executable, "-m", "poph_tf.train", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert result.stdout == f"poph_tf {poph_tf.__version__}\n"
