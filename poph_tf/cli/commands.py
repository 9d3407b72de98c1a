"""What all command lines share: one way to start, one way to fail, `--version`."""

import errno
import os
import sys

from absl import app, flags, logging

import poph_tf
from poph_tf.cli.quiet import ignore_missing_ffmpeg
from poph_tf.errors import InputError, Interrupted

FAILED = 2
INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: start the same command again
# Of the paths and the disk that a user gave, not of our code.
USERS_ERRORS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)

flags.DEFINE_bool("version", False, "Print the version of poph_tf and exit.")


def run(main, takes_words=False):
    """Runs a command under absl; an `InputError` becomes one line and code 2.

    Args:
        main: function of the list of words that are no flags.
        takes_words: bool. Whether the command takes any.
    """
    # TensorFlow reads this when it is first imported, which commands do in main.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ignore_missing_ffmpeg()
    app.run(lambda argv: _guarded(main, argv[1:], takes_words), flags_parser=_parse)


def _parse(argv):
    try:
        return flags.FLAGS(argv, known_only=False)
    except flags.Error as error:
        if any(name in argv for name in ("--help", "-help", "-h")):
            raise
        _fail(error)


def _guarded(main, words, takes_words):
    if not flags.FLAGS["verbosity"].present:
        # TensorFlow speaks through the same log; what a user should read is printed.
        logging.set_verbosity(logging.WARNING)
    if flags.FLAGS.version:
        print(f"poph_tf {poph_tf.__version__}")
        return 0
    try:
        if words and not takes_words:
            raise InputError(f"Takes flags only, got {' '.join(words)!r}; see --help.")
        return main(words)
    except InputError as error:
        _fail(error)
    except OSError as error:
        if error.errno not in USERS_ERRORS:
            raise
        _fail(f"{error.strerror}: {error.filename or 'while writing'}.")
    except Interrupted as stop:
        print(f"{stop} Start the same command again to go on.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit("Interrupted.")


def _fail(error):
    line = " ".join(str(error).split())
    print(f"error: {line}", file=sys.stderr)
    sys.exit(FAILED)
