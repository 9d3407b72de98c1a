"""Converts chunks of items: in processes of this machine, or as a Beam pipeline.

The processes are a pool with time limits. A chunk whose process hangs or dies is tried
again item by item; an item that takes down a process on its own is rejected for that
reason. This is a safety net: limits that do not depend on time or memory reject files
earlier (see `conversion.py`), so that results do not differ between machines.

The pipeline runs the same function, so that Dataflow, Flink or Spark can run it:

    read the source in chunks -> reshuffle -> convert each chunk into the staging folder

What follows (duplicates, splits, shards) only moves bytes and runs where the command
was started. The output folder must be visible to all machines.
"""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import shlex
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext

import pebble
from pebble.pool.process import WORKERS_NAME

from poph_tf.cli import signals
from poph_tf.cli.quiet import ignore_missing_ffmpeg
from poph_tf.config.data import DataConfig, ExecutionOptions
from poph_tf.data.preparation import conversion, sources, staging
from poph_tf.data.preparation.conversion import Converted
from poph_tf.errors import InputError

# Chunks read ahead for each process.
_CHUNKS_PER_WORKER = 2
# The first item of a process also pays for importing what its format needs.
_START_SECONDS = 60.0
# After this time a task returns what it has: many slow items must not look like a hang.
_TASK_SECONDS = 10.0
_POLL_SECONDS = 1.0
_MAX_BREAKS = 3


@dataclasses.dataclass
class _Task:
    """Items of a chunk that one call converts.

    Attributes:
        chunk: the chunk.
        numbers: indices of the items in the chunk.
        results: by index, for all tasks of the chunk together.
        alone: whether the item failed before, together with others.
    """

    chunk: staging.Chunk
    numbers: Sequence[int]
    results: dict[int, list[Converted]]
    alone: bool = False


def convert_locally(
    chunks: Iterable[staging.Chunk], settings: DataConfig, options: ExecutionOptions
) -> Iterator[tuple[staging.Chunk, list[Converted]]]:
    """Converts chunks in parallel processes.

    Yields:
        (chunk, results in the order of its items); chunks come in any order.

    Raises:
        RuntimeError: If processes cannot run at all.
    """
    pool = _Pool(settings, options)
    try:
        for chunk in chunks:
            while len(pool.pending) >= _CHUNKS_PER_WORKER * options.num_workers:
                yield from pool.finished()
            pool.submit(_Task(chunk, range(len(chunk.items)), {}))
        while pool.pending:
            yield from pool.finished()
    finally:
        pool.stop()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delays stop signals until the end of a block; its processes ignore Ctrl-C.

    An interrupted start or stop of processes leaves some behind, which print tracebacks
    after the command has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    has_masks = hasattr(signal, "pthread_sigmask")  # Windows has none.
    with signals.handled_by(lambda number, _: came.append(number)):
        if has_masks:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            if has_masks:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if came:
        signal.raise_signal(came[0])


class _Pool:
    """The processes and the tasks that they have not finished."""

    def __init__(self, settings: DataConfig, options: ExecutionOptions) -> None:
        self._settings, self._options = settings, options
        self._breaks = 0
        self.pending: dict[Future, _Task] = {}
        # A worker computes on one core: BLAS threads would only cost memory.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        self._start()

    def _start(self) -> None:
        self._pool = pebble.ProcessPool(
            max_workers=self._options.num_workers,
            initializer=_begin_worker,
            initargs=(self._options.worker_memory_mb,),
            context=_context(),
        )

    @_interrupts_held()
    def stop(self) -> None:
        """Ends the processes; unfinished tasks are dropped."""
        self._pool.stop()
        if self._pool._pool_manager_loop:  # It may be starting another process.
            self._pool._pool_manager_loop.join()
        # A process that is still starting prints a traceback when its channel is gone.
        for process in multiprocessing.active_children():
            if process.name == WORKERS_NAME:
                process.kill()
        self._pool.join()

    @_interrupts_held()
    def submit(self, task: _Task) -> None:
        """Queues a task; the first also starts the processes."""
        items = [task.chunk.items[number] for number in task.numbers]
        seconds = self._options.seconds_per_file + _START_SECONDS
        seconds += 0.0 if task.alone else _TASK_SECONDS
        future: Future
        try:
            future = self._pool.schedule(
                _convert_items, args=(items, self._settings), timeout=seconds
            )
        except RuntimeError:
            future = Future()  # The pool is broken; `finished` submits again.
        self.pending[future] = task

    def finished(self) -> Iterator[tuple[staging.Chunk, list[Converted]]]:
        """Waits for tasks; yields the chunks that are complete."""
        done, _ = concurrent.futures.wait(
            self.pending, _POLL_SECONDS, concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            if isinstance(future.exception(), BrokenExecutor):
                continue
            task = self.pending.pop(future)
            self._take(task, future)
            if len(task.results) == len(task.chunk.items):
                yield (
                    task.chunk,
                    [c for _, r in sorted(task.results.items()) for c in r],
                )
        if not self._pool.active:
            self._restart()

    def _take(self, task: _Task, future: Future) -> None:
        """Keeps the results of a task and submits what is left of it."""
        error = future.exception()
        if error is None:
            self._breaks = 0
            found = future.result()
            task.results.update(zip(task.numbers, found, strict=False))
            if len(found) < len(task.numbers):
                rest = task.numbers[len(found) :]
                self.submit(dataclasses.replace(task, numbers=rest))
        elif task.alone:
            (number,) = task.numbers
            item = task.chunk.items[number]
            reason = self._reason(error)
            task.results[number] = [Converted(item.source, item.style, reason=reason)]
        else:
            for number in task.numbers:
                self.submit(dataclasses.replace(task, numbers=(number,), alone=True))

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            return f"took longer than {self._options.seconds_per_file:g} seconds"
        if isinstance(error, pebble.ProcessExpired):
            code = error.exitcode
            name = signal.Signals(-code).name if code < 0 else f"code {code}"
            return f"its worker died ({name})"
        return f"its conversion failed ({type(error).__name__})"

    def _restart(self) -> None:
        """Starts new processes: the old ones died without a task to blame."""
        self._breaks += 1
        if self._breaks > _MAX_BREAKS:
            raise RuntimeError("Worker processes cannot run: they die at their start.")
        tasks = list(self.pending.values())
        self.pending.clear()
        self.stop()
        self._start()
        for task in tasks:
            self.submit(task)


def _context() -> BaseContext:
    """Processes forked from one that has imported only what all of them need."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    # Starting it unblocks Ctrl-C again, also for the process that is forked from.
    resource_tracker.ensure_running()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "numba", __name__])
    return context


def _convert_items(
    items: Iterable[sources.Item], settings: DataConfig
) -> list[list[Converted]]:
    """The results of items, in order; after `_TASK_SECONDS` the last are left out."""
    end = time.monotonic() + _TASK_SECONDS
    results = []
    for item in items:
        results.append(conversion.convert(item, settings))
        if time.monotonic() > end:
            break
    return results


def _begin_worker(memory_mb: int) -> None:
    """Prepares a process; absurd allocations fail in it, not in the machine."""
    ignore_missing_ffmpeg()
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


def convert_with_beam(
    settings: DataConfig, store: staging.Staging, options: str = ""
) -> None:
    """Converts all items of the source as an Apache Beam pipeline.

    Args:
        settings: what to convert, and how.
        store: gets the chunks; must be empty.
        options: pipeline options, such as "--runner=FlinkRunner ...".

    Raises:
        InputError: If Apache Beam is not installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise InputError(
            "--runner=beam needs Apache Beam: pip install 'poph_tf[beam]'."
        ) from None
    flags = PipelineOptions(shlex.split(options), save_main_session=False)
    with beam.Pipeline(options=flags) as pipeline:
        _ = (
            pipeline
            | "Source" >> beam.Create([settings])
            | "Read" >> beam.FlatMap(_read)
            # Reading is one thread's work; what follows is spread over all workers.
            | "Spread" >> beam.Reshuffle()
            | "Convert" >> beam.Map(_convert_into, settings, store)
        )


def _read(settings: DataConfig) -> Iterator[staging.Chunk]:
    return staging.chunks(sources.walk(settings))


def _convert_into(
    chunk: staging.Chunk, settings: DataConfig, store: staging.Staging
) -> None:
    converted = [c for item in chunk.items for c in conversion.convert(item, settings)]
    store.write(chunk.key, converted)
