"""Processes that convert chunks, and are replaced when they hang or die.

Each worker has a pipe and a place in shared memory where it says which item it is at
and since when. When it dies, or takes too long, a new one begins the chunk again; an
item that has brought down two workers is rejected with that as its reason. This is a
safety net: limits that do not depend on time or memory reject files before (see
`conversion.py`), so that results do not differ between machines.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import time
from multiprocessing import connection

from poph_tf.cli.quiet import ignore_missing_ffmpeg
from poph_tf.data.preparation import conversion
from poph_tf.errors import InputError

# Only a worker that waits for its next chunk reads its pipe: a chunk sent to a busy
# one could block the parent, who would then not see that it hangs.
_QUEUED_PER_WORKER = 1
_STRIKES = 2
_MAX_DEATHS_IDLE = 3
_POLL_SECONDS = 0.5
# The first item of a worker also pays for importing what its format needs.
_START_SECONDS = 60.0
_IDLE = -1


@dataclasses.dataclass(frozen=True)
class Done:
    """A chunk is finished.

    Args:
        key: str.
        num_items: int.
        num_rejects: int.
    """

    key: str
    num_items: int
    num_rejects: int


def convert_all(chunks, settings, effort, store):
    """Converts chunks in parallel; each is in `store` when it is yielded.

    Args:
        chunks: iterable of staging.Chunk.
        settings: Settings.
        effort: ExecutionOptions.
        store: staging.Staging.

    Yields:
        Done, in any order.
    """
    crew = _Crew(settings, effort, store)
    try:
        for chunk in chunks:
            if store.has(chunk.key):
                yield _known(store, chunk)
                continue
            yield from crew.make_room()
            crew.give(chunk)
        yield from crew.finish()
    finally:
        crew.stop()


def _known(store, chunk):
    return Done(chunk.key, len(chunk.items), len(store.read(chunk.key)[1]))


class _Crew:
    """All workers."""

    def __init__(self, settings, effort, store):
        self._start = lambda: _Worker(settings, effort, store)
        self._size = effort.num_workers
        self._limit = effort.seconds_per_file
        self._workers = []
        self._deaths_idle = 0

    def make_room(self):
        """Waits until another chunk can be given; yields Done of those finished."""
        while self._is_full():
            yield from self._wait()

    def _is_full(self):
        busy = all(len(w.queue) >= _QUEUED_PER_WORKER for w in self._workers)
        return busy and len(self._workers) >= self._size

    def give(self, chunk):
        if len(self._workers) < self._size:
            self._workers.append(self._start())
        min(self._workers, key=lambda w: len(w.queue)).give(chunk, {})

    def finish(self):
        """Waits for all that was given; yields Done."""
        while any(w.queue for w in self._workers):
            yield from self._wait()

    def stop(self):
        for worker in self._workers:
            worker.stop()

    def _wait(self):
        signs = {w.pipe: w for w in self._workers}
        signs |= {w.process.sentinel: w for w in self._workers}
        ready = connection.wait(list(signs), timeout=_POLL_SECONDS)
        for worker in {id(signs[s]): signs[s] for s in ready}.values():
            yield from self._hear(worker)
        for worker in list(self._workers):
            if worker.seconds_at_item() > self._limit:
                worker.stop()
                self._replace(worker, f"took longer than {self._limit:g} seconds")

    def _hear(self, worker):
        try:
            while worker.pipe.poll():
                answer = worker.pipe.recv()
                if isinstance(answer, InputError):
                    raise answer
                yield worker.done(answer)
                self._deaths_idle = 0
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode
            name = signal.Signals(-code).name if code and code < 0 else f"code {code}"
            self._replace(worker, f"its worker died ({name})")

    def _replace(self, worker, reason):
        """A new worker takes over the queue of one that is no more."""
        strikes, item = worker.blame(reason)
        if item is None:
            self._deaths_idle += 1
            if self._deaths_idle > _MAX_DEATHS_IDLE:
                raise RuntimeError(f"Workers cannot run: {reason}.")
        successor = self._start()
        self._workers[self._workers.index(worker)] = successor
        for k, chunk in enumerate(worker.queue):
            successor.give(chunk, strikes if k == 0 else {})


class _Worker:
    """One process, as its parent sees it."""

    def __init__(self, settings, effort, store):
        context = multiprocessing.get_context("spawn")
        # Item number (or _IDLE), time since it is at it.
        self._place = context.RawArray("d", [_IDLE, 0.0])
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_work,
            args=(theirs, self._place, settings, store, effort.worker_memory_mb),
            daemon=True,
        )
        # A worker computes on one core: threads of BLAS would cost memory only.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        self.process.start()
        theirs.close()
        self.queue = []
        self._strikes = {}

    def give(self, chunk, strikes):
        self.queue.append(chunk)
        if len(self.queue) == 1:
            self._strikes = strikes
        rejected = {k: s[-1] for k, s in strikes.items() if len(s) >= _STRIKES}
        # Where it has died, _hear finds that out and passes the queue on.
        with contextlib.suppress(OSError):
            self.pipe.send((chunk, rejected))

    def done(self, answer):
        self.queue.pop(0)
        self._strikes = {}
        return Done(*answer)

    def seconds_at_item(self):
        item, since = self._place
        return time.monotonic() - since if item != _IDLE else 0.0

    def blame(self, reason):
        """Notes which item brought the worker down.

        Returns:
            dict from item number to the reasons so far, the item (None: no item).
        """
        item = int(self._place[0])
        if item == _IDLE or not self.queue:
            return self._strikes, None
        strikes = {k: list(s) for k, s in self._strikes.items()}
        strikes.setdefault(item, []).append(reason)
        return strikes, item

    def stop(self):
        self.process.kill()
        self.process.join()


def _work(pipe, place, settings, store, memory_mb):
    """What runs in a worker: chunks in, finished chunks on disk."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ignore_missing_ffmpeg()
    _limit_memory(memory_mb)
    while True:
        try:
            chunk, rejected = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            done = convert_chunk(chunk, rejected, settings, store, place)
            answer = dataclasses.astuple(done)
        except InputError as error:
            answer = error
        try:
            pipe.send(answer)
        except OSError:
            return


def convert_chunk(chunk, rejected, settings, store, place=None):
    """Converts and stores a chunk.

    Args:
        chunk: staging.Chunk.
        rejected: dict from item number to the reason why it is not to be tried.
        settings, store: as for `convert_all`.
        place: shared [2], or None. Is told which item is at work, and since when.

    Returns:
        Done.

    Raises:
        InputError: If what was converted cannot be written.
    """
    converted = []
    for number, item in enumerate(chunk.items):
        if place is not None:
            place[1] = time.monotonic() + (_START_SECONDS if not number else 0)
            place[0] = number
        if number in rejected:
            item = dataclasses.replace(item, reason=rejected[number])
        converted += conversion.convert(item, settings)
    if place is not None:
        place[0] = _IDLE
    try:
        store.write(chunk.key, converted)
    except OSError as error:
        raise InputError(f"Cannot write to {store.folder}: {error.strerror}.") from None
    num_rejects = sum(c.record is None for c in converted)
    return Done(chunk.key, len(chunk.items), num_rejects)


def _limit_memory(memory_mb):
    """Makes absurd allocations fail in this process instead of in the machine."""
    if not memory_mb:
        return
    try:
        import resource
    except ImportError:  # Windows
        return
    size = memory_mb * 2**20
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        size = min(size, most)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
