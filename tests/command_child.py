"""Runs commands many times each: python command_child.py FOLDER

Reads JSON from stdin: for each command (a module or a file), a list of argument lists.
Writes FOLDER/0.json and so on: for each command, a JSON list of [exit code, stdout,
stderr]. Commands define their own flags, so two of them cannot share a process: each
runs in a fork of this process, which has already imported TensorFlow.
"""

import contextlib
import importlib
import io
import json
import os
import pathlib
import runpy
import sys
import traceback

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags

from poph_tf.cli import commands


def main_of(target):
    if target.endswith(".py"):
        return runpy.run_path(target, run_name="command")["main"]
    return importlib.import_module(target).main


def outcome_of(main, arguments):
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    sys.argv = ["command", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            commands.run(main)
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    return [code, out.getvalue(), err.getvalue()]


def answer(target, cases, path):
    main = main_of(target)
    path.write_text(json.dumps([outcome_of(main, case) for case in cases]))


if __name__ == "__main__":
    import poph_tf.models.network  # noqa: F401  and with it TensorFlow

    folder, forks = pathlib.Path(sys.argv[1]), []
    for number, (target, cases) in enumerate(json.load(sys.stdin).items()):
        forks.append(os.fork())
        if not forks[-1]:
            answer(target, cases, folder / f"{number}.json")
            os._exit(0)
    statuses = [os.waitpid(fork, 0)[1] for fork in forks]
    sys.exit(any(statuses))
