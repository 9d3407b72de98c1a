"""Runs one command many times in one process: python command_child.py MODULE_OR_FILE

Reads a JSON list of argument lists from stdin; writes a JSON list of [exit code,
stdout, stderr] to the file named by the second argument. Each command defines flags of
its own, so that two of them do not fit in one process; TensorFlow starts only once.
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


if __name__ == "__main__":
    command = main_of(sys.argv[1])
    answers = pathlib.Path(sys.argv[2])
    cases = json.load(sys.stdin)
    answers.write_text(json.dumps([outcome_of(command, case) for case in cases]))
