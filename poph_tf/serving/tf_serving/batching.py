"""Runs requests in a few threads and merges those that are compatible.

TF Serving merges requests along the batch axis; this does the same if it is enabled: a
batch takes little longer to compose than one piece. Requests accumulate while all
threads are busy, so the batches grow with the load.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses
from collections.abc import Sequence

import numpy as np

from poph_tf.serving.tf_serving.calls import Call, Function
from poph_tf.serving.tf_serving.rest_api import Arrays

# The function, the shapes after the batch axis, and whether the request is short: only
# requests with equal keys can be merged.
_Key = tuple[Function, tuple[tuple[str, tuple[int, ...]], ...], bool]
# What runs at the same time per thread of `num_threads`: a long and a short request.
LANES = 2
# Requests of at most this many steps in total do not wait for longer ones.
SHORT_STEPS = 256


@dataclasses.dataclass
class _Job:
    inputs: Arrays
    future: asyncio.Future[Arrays]

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))


class Batcher:
    """Runs functions on batches.

    Args:
        num_threads: number of long requests that run at the same time, and of short
            ones beside them; TensorFlow divides the cores among all of them.
        max_rows: most pieces in a merged batch; 1 disables merging.
        wait_seconds: how long a request waits for others to join.
    """

    def __init__(
        self, num_threads: int, max_rows: int = 1, wait_seconds: float = 0.0
    ) -> None:
        self.max_rows = max_rows
        self.wait_seconds = wait_seconds
        self.threads = concurrent.futures.ThreadPoolExecutor(
            LANES * num_threads, "model"
        )
        # One for long requests, one for short ones.
        self._free = [asyncio.Semaphore(num_threads) for _ in range(LANES)]
        self._queues = collections.defaultdict[_Key, collections.deque[_Job]](
            collections.deque
        )
        self._waiting: set[asyncio.Future[Arrays]] = set()
        self._ended: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(
        self, function: Function, inputs: Arrays, num_steps: int = 0
    ) -> Arrays:
        """Runs a function on inputs, possibly together with rows of other requests.

        Cancelling it cancels the call too, unless other requests share that call.

        Args:
            function: arrays, call -> arrays; the batch is the first axis of all.
            inputs: arrays by name.
            num_steps: steps of all pieces, a measure of the work.

        Returns:
            The outputs for this request's rows.
        """
        if self._ended:
            raise self._ended
        job = _Job(inputs, asyncio.get_running_loop().create_future())
        shapes = tuple((name, a.shape[1:]) for name, a in sorted(inputs.items()))
        key = function, shapes, num_steps <= SHORT_STEPS
        self._queues[key].append(job)
        self._waiting.add(job.future)
        job.future.add_done_callback(self._waiting.discard)
        task = asyncio.create_task(self._serve(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await job.future

    async def _serve(self, key: _Key) -> None:
        """Runs the oldest jobs of a queue; each job has one such task."""
        function, _, is_short = key
        if self.max_rows > 1:
            await asyncio.sleep(self.wait_seconds)
        async with self._free[is_short]:
            jobs = self._take(key)
            if jobs:
                await self._run_jobs(function, jobs)

    def _take(self, key: _Key) -> list[_Job]:
        """As many of the oldest jobs as fit; skips abandoned ones."""
        queue, rows = self._queues[key], 0
        jobs: list[_Job] = []
        while queue and (not jobs or rows + queue[0].rows <= self.max_rows):
            job = queue.popleft()
            if not job.future.done():
                jobs.append(job)
                rows += job.rows
        if not queue:
            del self._queues[key]
        return jobs

    async def _run_jobs(self, function: Function, jobs: Sequence[_Job]) -> None:
        call = Call()

        def end_if_unwanted(_: object) -> None:
            if all(job.future.done() for job in jobs):
                call.end()

        for job in jobs:
            job.future.add_done_callback(end_if_unwanted)
        try:
            inputs = _merge([job.inputs for job in jobs])
            outputs = await asyncio.get_running_loop().run_in_executor(
                self.threads, function, inputs, call
            )
            answers = _split(outputs, [job.rows for job in jobs])
        except Exception as error:
            if len(jobs) > 1:
                # Bad input from one client must not fail the other requests.
                for job in jobs:
                    if not job.future.done():
                        await self._run_jobs(function, [job])
            elif not jobs[0].future.done():
                jobs[0].future.set_exception(error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            if not job.future.done():
                job.future.set_result(answer)

    def end_all(self, error: Exception) -> None:
        """Fails all current and future requests, and ends the running calls."""
        self._ended = error
        for future in tuple(self._waiting):
            if not future.done():
                future.set_exception(error)

    def close(self) -> None:
        """Starts no more runs; does not wait for running ones."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def _merge(batches: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def _split(outputs: Arrays, rows: Sequence[int]) -> list[Arrays]:
    cuts = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, cuts) for name, array in outputs.items()}
    return [{name: part[k] for name, part in parts.items()} for k in range(len(rows))]
