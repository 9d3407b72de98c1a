"""Threads that share the drawing of many pieces, one bar at a time.

A job is a request with one or more parts. Each part is a generator that does a slice of
work per iteration, or yields a slice of a piece (a bar) to be drawn and receives the
result. A thread takes a part, does one slice and puts the part back. If there are many
parts, it draws slices of several at once.

Every second turn goes to the clients in rotation: alternately to each of a client's
jobs in rotation, and to the one with the fewest slices so far. The other turns go to
the job with the fewest slices of all. So a short piece gets at least half of the turns
while it is drawn, however many long ones there are, and three of four beside those of
its own client. Slices drawn together take longer, so they are only combined for jobs
that are about equally far and about equally long.

A short piece need not wait for its turn either. Between two steps of a slice, a thread
looks for a job of less than half the length and draws a slice of it at once. In the
long run, no more steps are drawn this way than in turns: a client that asks for one
short piece after another leaves half of the steps to turns.
"""

import collections
import itertools
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any

from poph_tf.generation.light_engine import Drawn, Slice

# It is sent None at first, then a `Drawn` each time.
Part = Generator[Slice | None, Any, None]
Taken = list[tuple["Job", Part]]
# Jobs that are this many slices ahead of another are drawn one by one.
FAR = 4
# Steps that may be drawn between other steps before as many others must follow.
MAX_AHEAD = 256


class Stopping(Exception):  # noqa: N818  a requested end, not an error
    """The server is stopping; the message is for the client."""


class Job:
    """The parts of one request.

    Args:
        client: the client of the request.
        parts: generators; a part may add others to `parts`.
        on_end: called once, in any thread, with the error that ended the job, or None.
        size: number of pieces that it will hold in memory.
        num_steps: steps of all its pieces.
    """

    def __init__(
        self,
        client: str,
        parts: Iterable[Part],
        on_end: Callable[[BaseException | None], object],
        size: int = 1,
        num_steps: int = 0,
    ) -> None:
        self.client, self.size, self.num_steps = client, size, num_steps
        self.parts = collections.deque(parts)
        # The slice that each part waits for.
        self.slices: dict[Part, Slice] = {}
        self.on_end = on_end
        self.num_slices = 0
        self.num_running = 0
        self.ended = False

    def much_shorter(self, other: "Job") -> bool:
        """Whether it has less than half the steps of another."""
        return 2 * self.num_steps < other.num_steps


class Scheduler:
    """Runs jobs.

    Args:
        num_threads: number of slices done at the same time.
    """

    def __init__(self, num_threads: int) -> None:
        self._jobs: dict[str, collections.deque[Job]] = {}
        self._changed = threading.Condition()
        self._turns = itertools.count()
        self._rounds: collections.Counter[str] = collections.Counter()
        self._ahead = 0  # steps drawn between others, minus those others
        self._closing = False
        self._ended: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"draw-{k}", daemon=True)
            for k in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def waiting(self, client: str | None = None) -> int:
        """The number of pieces in unfinished jobs, of one client or of all."""
        with self._changed:
            jobs = (
                self._jobs.values() if client is None else [self._jobs.get(client, ())]
            )
            return sum(job.size for queue in jobs for job in queue)

    def submit(self, job: Job) -> None:
        """Starts a job."""
        with self._changed:
            if self._ended:
                raise self._ended
            self._jobs.setdefault(job.client, collections.deque()).append(job)
            self._changed.notify_all()

    def end(self, job: Job, error: BaseException | None = None) -> None:
        """Ends a job; running slices are finished, and their results are discarded."""
        with self._changed:
            if job.ended:
                return
            job.ended = True
            queue = self._jobs[job.client]
            queue.remove(job)
            if not queue:
                del self._jobs[job.client], self._rounds[job.client]
        job.on_end(error)

    def end_all(self, error: BaseException) -> None:
        """Ends all jobs and accepts no new ones."""
        with self._changed:
            self._ended = error
            jobs = [job for queue in self._jobs.values() for job in queue]
        for job in jobs:
            self.end(job, error)

    def close(self) -> None:
        """Ends the threads after their slices."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while taken := self._take():
            self._do(taken)

    def _do(self, taken: Taken, between: bool = False) -> None:
        """Does a slice of some jobs, in their turn or between the steps of others."""
        try:
            self._draw(taken, between)
        except BaseException as error:
            for job, _ in taken:
                self.end(job, error)
                self._put_back(job)

    def _draw(self, taken: Taken, between: bool) -> None:
        """Draws the slices that some parts wait for, or lets a part do its own work."""
        found = (job.slices.pop(part, None) for job, part in taken)
        slices = [one for one in found if one]
        if not slices:
            ((job, part),) = taken
            # The first slice it asks for is drawn in the same turn.
            if (first := self._send(job, part, None)) is None:
                return
            slices = [first]
        if between:
            with self._changed:
                self._ahead += slices[0].num_steps
        before_step = None if between else lambda: self._draw_shorter(taken)
        drawn = slices[0].engine.draw(slices, before_step)
        for (job, part), one in zip(taken, drawn, strict=True):
            self._send(job, part, one)

    def _draw_shorter(self, taken: Taken) -> None:
        """Draws a slice of a job that is much shorter than those being drawn."""
        with self._changed:
            self._ahead = max(self._ahead - len(taken), 0)
            if self._ahead >= MAX_AHEAD:
                return
            free = (job for queue in self._jobs.values() for job in queue if job.parts)
            job = min(free, key=lambda job: job.num_steps, default=None)
            if not job or not all(job.much_shorter(other) for other, _ in taken):
                return
            shorter = [self._begin(job, job.parts.popleft())]
        self._do(shorter, between=True)

    def _send(self, job: Job, part: Part, drawn: Drawn | None) -> Slice | None:
        """Sends a drawn slice to a part; an error in the part ends only its job.

        Returns:
            The slice that the part wants if it was sent None; otherwise the part is
            put back.
        """
        try:
            wanted = part.send(drawn)
        except StopIteration:
            self._put_back(job)
        except BaseException as error:
            self.end(job, error)
            self._put_back(job)
        else:
            if wanted and drawn is None:
                return wanted
            if wanted:
                job.slices[part] = wanted
            self._put_back(job, part)
        return None

    def _take(self) -> Taken:
        """Waits for the next parts to work on together; none after closing."""
        with self._changed:
            while not self._closing:
                if job := self._choose():
                    part = job.parts.popleft()
                    beside = self._beside(job, part)
                    return [self._begin(*one) for one in [(job, part), *beside]]
                self._changed.wait()
        return []

    def _begin(self, job: Job, part: Part) -> tuple[Job, Part]:
        job.num_running += 1
        job.num_slices += 1
        return job, part

    def _beside(self, job: Job, part: Part) -> Taken:
        """Takes parts that can be drawn with this one, if all threads have work.

        Parts of jobs with the fewest slices so far come first.
        """
        if not (own := job.slices.get(part)):
            return []
        jobs = [job for queue in self._jobs.values() for job in queue]
        jobs.sort(key=lambda job: job.num_slices)
        near = [one for one in jobs if one.num_slices <= jobs[0].num_slices + FAR]
        if job not in near:
            return []
        found = [
            (other, like)
            for other in near
            for like in other.parts
            if not (job.much_shorter(other) or other.much_shorter(job))
            if (its := other.slices.get(like))
            and (its.engine, its.num_steps) == (own.engine, own.num_steps)
        ]
        size = own.engine.batch_rows
        if len(found) < size + len(self._threads) - 2:
            return []
        for other, like in found[: size - 1]:
            other.parts.remove(like)
        return found[: size - 1]

    def _put_back(self, job: Job, part: Part | None = None) -> None:
        with self._changed:
            job.num_running -= 1
            if part:
                job.parts.append(part)
            over = not (job.parts or job.num_running)
            self._changed.notify_all()
        if over:
            self.end(job)

    def _choose(self) -> Job | None:
        """The job whose turn it is, among those with a part that is free."""
        if next(self._turns) % 2:
            return _least(job for queue in self._jobs.values() for job in queue)
        for client, queue in self._jobs.items():
            if job := _least(queue):
                self._rounds[client] += 1
                if self._rounds[client] % 2 == 0:
                    job = next(job for job in queue if job.parts)
                queue.remove(job)
                queue.append(job)
                self._jobs[client] = self._jobs.pop(client)
                return job
        return None


def _least(jobs: Iterable[Job]) -> Job | None:
    """The job with the fewest slices so far, among those with a part that is free."""
    free = (job for job in jobs if job.parts)
    return min(free, key=lambda job: job.num_slices, default=None)
