"""Lets all commands start, end and fail in the same way; defines `--version`."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

import poph_tf
from poph_tf.cli import flags as own_flags
from poph_tf.cli import signals
from poph_tf.cli.quiet import ignore_missing_ffmpeg
from poph_tf.errors import InputError, Interrupted, TrainingFailed, one_line

TRAINING_FAILED = 1
FAILED = 2
INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: start the same command again
BROKEN_PIPE = 141  # a shell's exit code for a program ended by SIGPIPE
# Problems with the user's paths or disk, not bugs in our code.
USERS_ERRORS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EIO,
    errno.EISDIR,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)

HELP = ("--help", "-help", "-h")

flags.DEFINE_bool("version", False, "Print the version of poph_tf and exit.")

Main = Callable[[Sequence[str]], int | None]


def run(main: Main, takes_words: bool = False) -> None:
    """Runs a command under absl; an `InputError` becomes one line and code 2.

    Args:
        main: function of the command-line arguments that are not flags.
        takes_words: whether the command takes any.
    """
    # Commands import TensorFlow in main, which is when it reads this variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ignore_missing_ffmpeg()
    app.run(lambda argv: _guarded(main, argv[1:], takes_words), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    if any(word in HELP for word in argv):
        argv = [argv[0], "--help"]  # even if the other words are wrong
    try:
        return flags.FLAGS(argv, known_only=False)
    except SystemExit:
        sys.exit(0)  # absl printed the help, but would exit with 1
    except flags.Error as error:
        _fail(own_flags.with_suggestion(error))


def _guarded(main: Main, words: Sequence[str], takes_words: bool) -> int | None:
    if not flags.FLAGS["verbosity"].present:
        # TensorFlow logs through absl too; messages for the user are printed.
        logging.set_verbosity(logging.WARNING)
    if flags.FLAGS.version:
        print(f"poph_tf {poph_tf.__version__}")
        return 0
    if words and not takes_words:
        _fail(f"Takes flags only, got {' '.join(words)!r}; see --help.")
    try:
        own_flags.check_finite()
        with signals.stoppable():
            code = main(words)
            sys.stdout.flush()
            return code
    except TrainingFailed as error:
        _fail(error, TRAINING_FAILED)
    except InputError as error:
        _fail(error)
    except BrokenPipeError:
        # Otherwise Python complains when it flushes output that nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        if error.errno not in USERS_ERRORS:
            raise
        _fail(f"{error.strerror}: {error.filename or 'while writing'}.")
    except Interrupted as stop:
        _end_early(stop)
    except KeyboardInterrupt as stop:
        _end_early(f"Stopped by {stop or 'SIGINT'}; nothing is left half-written.")


def _end_early(why: object) -> NoReturn:
    print(f"{why} Start the same command again to continue.", file=sys.stderr)
    sys.exit(INTERRUPTED)


def _fail(error: object, code: int = FAILED) -> NoReturn:
    # absl wraps its messages, so join them; line ends in names are escaped instead.
    text = " ".join(str(error).split()) if isinstance(error, flags.Error) else error
    print(f"error: {one_line(text)}", file=sys.stderr)
    sys.exit(code)
