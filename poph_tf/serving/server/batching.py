"""Runs requests in a few threads, merging those that fit together.

TF Serving merges requests along the batch axis; so does this, where it is asked to: a
batch is composed in little more time than a piece. While all threads are busy,
requests gather, so the merging grows with the load.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses

import numpy as np


@dataclasses.dataclass
class _Job:
    inputs: dict
    future: asyncio.Future

    @property
    def rows(self):
        return len(next(iter(self.inputs.values())))


class Batcher:
    """Runs functions of batches.

    Args:
        num_threads: int. Runs at once.
        max_rows: int. Pieces in a merged batch; 1: requests are not merged.
        wait_seconds: float. How long a request waits for others to join.
    """

    def __init__(self, num_threads, max_rows=1, wait_seconds=0.0):
        self.max_rows = max_rows
        self.wait_seconds = wait_seconds
        self.threads = concurrent.futures.ThreadPoolExecutor(num_threads, "model")
        self.free = asyncio.Semaphore(num_threads)
        self.queues = collections.defaultdict(collections.deque)
        self.tasks = set()
        # Calls in threads; one whose client has given up is here until it ends.
        self.running = set()

    async def run(self, function, inputs):
        """Runs `function(inputs)`, perhaps with other requests' rows.

        Args:
            function: dict of arrays -> dict of arrays, the batch first in all.
            inputs: dict of arrays.

        Returns:
            dict of arrays, this request's rows.
        """
        job = _Job(inputs, asyncio.get_running_loop().create_future())
        shapes = tuple((name, a.shape[1:]) for name, a in sorted(inputs.items()))
        # Only what has the same shape beyond the batch can be put together.
        key = (function, shapes)
        self.queues[key].append(job)
        task = asyncio.create_task(self._serve(key))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return await job.future

    async def _serve(self, key):
        """Runs the oldest jobs of a queue; there is one such task for each job."""
        if self.max_rows > 1:
            await asyncio.sleep(self.wait_seconds)
        async with self.free:
            jobs = self._take(key)
            if jobs:
                await self._run_jobs(key[0], jobs)

    def _take(self, key):
        """As many of the oldest jobs as fit, leaving out those given up."""
        queue, jobs, rows = self.queues[key], [], 0
        while queue and (not jobs or rows + queue[0].rows <= self.max_rows):
            job = queue.popleft()
            if not job.future.done():
                jobs.append(job)
                rows += job.rows
        if not queue:
            del self.queues[key]
        return jobs

    async def _run_jobs(self, function, jobs):
        try:
            merged = _merged([job.inputs for job in jobs])
            call = self.threads.submit(function, merged)
            self.running.add(call)
            call.add_done_callback(self.running.discard)
            outputs = await asyncio.wrap_future(call)
            answers = _parted(outputs, [job.rows for job in jobs])
        except Exception as error:
            if len(jobs) > 1:
                # One client's bad input must not fail the others.
                for job in jobs:
                    await self._run_jobs(function, [job])
            elif not jobs[0].future.done():
                jobs[0].future.set_exception(error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            if not job.future.done():
                job.future.set_result(answer)

    def close(self):
        """Starts nothing more; what runs is not waited for."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def _merged(batches):
    if len(batches) == 1:
        return batches[0]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def _parted(outputs, rows):
    if len(rows) == 1:
        return [outputs]
    cuts = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, cuts) for name, array in outputs.items()}
    return [{name: part[k] for name, part in parts.items()} for k in range(len(rows))]
