"""Runs requests in a few threads, merging those that fit together.

TF Serving merges requests along the batch axis; this does the same where it is wanted:
a batch is composed in little more time than one piece. Requests gather while all
threads are busy, so the batches grow with the load.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from poph_tf.serving.tf_serving.rest_api import Arrays

Function = Callable[[Arrays], Arrays]
# The function, and the shapes after the batch axis: only equal ones can be merged.
_Key = tuple[Function, tuple[tuple[str, tuple[int, ...]], ...]]


@dataclasses.dataclass
class _Job:
    inputs: Arrays
    future: asyncio.Future[Arrays]

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))


class Batcher:
    """Runs functions of batches.

    Args:
        num_threads: runs at the same time.
        max_rows: pieces in a merged batch; 1: requests are not merged.
        wait_seconds: how long a request waits for others to join.

    Attributes:
        running: calls in threads, also those whose client has given up.
    """

    def __init__(
        self, num_threads: int, max_rows: int = 1, wait_seconds: float = 0.0
    ) -> None:
        self.max_rows = max_rows
        self.wait_seconds = wait_seconds
        self.threads = concurrent.futures.ThreadPoolExecutor(num_threads, "model")
        self.running: set[concurrent.futures.Future[Arrays]] = set()
        self._free = asyncio.Semaphore(num_threads)
        self._queues = collections.defaultdict[_Key, collections.deque[_Job]](
            collections.deque
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, function: Function, inputs: Arrays) -> Arrays:
        """Runs `function(inputs)`, perhaps with the rows of other requests.

        Args:
            function: arrays -> arrays, the batch first in all.
            inputs: arrays by name.

        Returns:
            The outputs for this request's rows.
        """
        job = _Job(inputs, asyncio.get_running_loop().create_future())
        key = function, tuple((name, a.shape[1:]) for name, a in sorted(inputs.items()))
        self._queues[key].append(job)
        task = asyncio.create_task(self._serve(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await job.future

    async def _serve(self, key: _Key) -> None:
        """Runs the oldest jobs of a queue; there is one such task for each job."""
        if self.max_rows > 1:
            await asyncio.sleep(self.wait_seconds)
        async with self._free:
            jobs = self._take(key)
            if jobs:
                await self._run_jobs(key[0], jobs)

    def _take(self, key: _Key) -> list[_Job]:
        """As many of the oldest jobs as fit; skips those that were given up."""
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
        try:
            call = self.threads.submit(function, _merge([job.inputs for job in jobs]))
            self.running.add(call)
            call.add_done_callback(self.running.discard)
            outputs = await asyncio.wrap_future(call)
            answers = _split(outputs, [job.rows for job in jobs])
        except Exception as error:
            if len(jobs) > 1:
                # The bad input of one client must not fail the others.
                for job in jobs:
                    await self._run_jobs(function, [job])
            elif not jobs[0].future.done():
                jobs[0].future.set_exception(error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            if not job.future.done():
                job.future.set_result(answer)

    def close(self) -> None:
        """Starts no more runs; does not wait for running ones."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def _merge(batches: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def _split(outputs: Arrays, rows: Sequence[int]) -> list[Arrays]:
    cuts = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, cuts) for name, array in outputs.items()}
    return [{name: part[k] for name, part in parts.items()} for k in range(len(rows))]
