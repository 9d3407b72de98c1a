"""Separate processes for tests: forks of one that has already imported TensorFlow."""

import multiprocessing
import sys

import pytest
import systems

if not systems.IS_POSIX:  # tests that import this are skipped
    pytest.skip(systems.ONLY_POSIX, allow_module_level=True)

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["poph_tf.training.trainer"])
SECONDS = 280


class Fork:
    """Runs `work(tell, **arguments)`, whose result is the exit code; None is 0.

    Args:
        work: function of a module.
        arguments: of the function; `tell` sends its argument to `finish`.
    """

    def __init__(self, work, **arguments):
        self.answers, theirs = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(
            target=_run, args=(theirs, work, arguments), daemon=True
        )
        self.process.start()
        theirs.close()

    def finish(self):
        """Waits for it to end; returns (exit code, list of what it told)."""
        told = []
        try:
            while self.answers.poll(SECONDS):
                told.append(self.answers.recv())
        except EOFError:
            self.process.join(SECONDS)
        self.process.kill()
        self.process.join()
        return self.process.exitcode, told


def _run(answers, work, arguments):
    sys.exit(work(answers.send, **arguments))
