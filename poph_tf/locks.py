"""One run at a time in a folder: a lock that ends with its process.

The operating system holds the lock (flock) and drops it when the process ends, however
it ends. So a dead run never locks a folder, and a new machine need not know the old
one. The content of the lock file only says who holds it. If the system or the file
system has no such locks, nothing is locked.
"""

import contextlib
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import IO, Any

from poph_tf.cli.progress import duration
from poph_tf.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no fcntl; the type of a module does not allow None
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


@contextlib.contextmanager
def held(
    folder: str | os.PathLike[str], *, force: bool = False
) -> Iterator["FolderLock"]:
    """Keeps other runs out of a folder, which is made if it is missing.

    Args:
        folder: where the run will write.
        force: take the folder over from a run that holds it; that run ends at its next
            `FolderLock.check`.

    Raises:
        InputError: If another run is at work there, or the folder is not writable.
    """
    lock = FolderLock(folder, force=force)
    try:
        yield lock
    finally:
        lock.release()


class FolderLock:
    """The lock of one folder, from construction to `release`; see `held`."""

    def __init__(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        self.path = pathlib.Path(folder) / NAME
        self._made = not self.path.parent.exists()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._take(force)
        except OSError as error:
            raise InputError(
                f"Cannot write in {self.path.parent} ({error.strerror})."
            ) from None

    def check(self) -> None:
        """Raises InputError if another run has taken the folder over."""
        if not self._is_ours(self._file):
            raise InputError(
                f"Another run has taken over {self.path.parent} "
                f"({_owner(self.path)}); this one ends without writing there."
            )

    def release(self) -> None:
        """Lets the next run in; removes a folder made for the lock if it is empty."""
        if self._is_ours(self._file):
            with contextlib.suppress(OSError):
                self.path.unlink()
                if self._made:
                    self.path.parent.rmdir()
        self._file.close()

    def _take(self, force: bool) -> IO[str]:
        while True:
            file = self.path.open("a+", encoding="utf-8")
            try:
                self._lock(file, force)
            except BaseException:
                file.close()
                raise
            # Its last owner may have removed it between opening and locking.
            if self._is_ours(file):
                return _signed(file)
            file.close()

    def _lock(self, file: IO[str], force: bool) -> None:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not force:
                raise InputError(
                    f"Another run is at work in {self.path.parent} "
                    f"({_owner(self.path)}). Wait for its end, choose another folder, "
                    "or take it over with --force."
                ) from None
            self.path.unlink(missing_ok=True)
        except OSError:
            pass  # This file system has no locks.

    def _is_ours(self, file: IO[str]) -> bool:
        """Whether the file is still the one in the folder."""
        if not fcntl:
            return True
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except OSError:
            return False


def _signed(file: IO[str]) -> IO[str]:
    """Writes the owner into a lock file."""
    file.truncate(0)
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    file.write(json.dumps(owner))
    file.flush()
    return file


def _owner(path: pathlib.Path) -> str:
    """Who holds a lock, and for how long."""
    try:
        owner: dict[str, Any] = json.loads(path.read_text("utf-8"))
        age = duration(max(time.time() - owner["since"], 0.0))
        return f"process {owner['pid']} on {owner['host']}, for {age}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its owner is not known"
