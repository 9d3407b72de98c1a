"""The one kind of error that is the user's to mend.

Whatever a user can get wrong (a path, a flag, a file's content) raises `InputError`
with one line that says what came and what would be right. Commands print that line
and end with code 2 (see `cli/commands.py`); any other exception is a defect of
ours and shows its traceback.
"""

import re


class InputError(ValueError):
    """What the user gave cannot be used; the message says what would be right."""


class MusicFileError(InputError):
    """A music file cannot be read.

    Args:
        path: str. The file, or archive member, as the user would name it.
        reason: str. What is wrong with it, in a few words that are the same for
            every file with the same fault, so that rejects can be counted by reason.
    """

    def __init__(self, path, reason):
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = str(reason)

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class Interrupted(Exception):
    """SIGTERM came; what was done is saved and the same command goes on from there."""


def kind_of(error):
    """What an exception's name says, in words: TupletError -> tuplet."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__)
    return words.removesuffix(" Error").lower()
