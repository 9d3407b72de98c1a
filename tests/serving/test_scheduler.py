"""How threads share out the slices of jobs. Without a model."""

import threading
import types

import pytest

from poph_tf.serving.api.scheduler import FAR, MAX_AHEAD, Job, Scheduler


def run(jobs, num_threads=1):
    """Runs jobs that are submitted together; returns their names in slice order.

    Args:
        jobs: (client, name, slices of each part) of each job.
        num_threads: threads of the scheduler.
    """
    order, left, over = [], threading.Semaphore(0), threading.Event()

    def slices(name, count):
        for _ in range(count):
            order.append(name)
            yield

    def wait():
        over.wait(60)
        yield

    scheduler = Scheduler(num_threads)
    for _ in range(num_threads):
        scheduler.submit(Job("first", [wait()], lambda error: None))
    while scheduler.waiting("first") and not all_taken(scheduler):
        pass
    made = [
        Job(client, [slices(name, n) for n in parts], lambda error: left.release())
        for client, name, *parts in jobs
    ]
    for job in made:
        scheduler.submit(job)
    over.set()
    for _ in made:
        assert left.acquire(timeout=60)
    scheduler.close()
    return order


def all_taken(scheduler):
    with scheduler._changed:
        return not any(job.parts for queue in scheduler._jobs.values() for job in queue)


def test_all_slices_of_all_parts_are_done():
    order = run([("a", "x", 3, 4), ("b", "y", 5)], num_threads=3)
    assert sorted(order) == ["x"] * 7 + ["y"] * 5


def test_a_short_job_gets_half_of_the_slices_beside_many_long_ones():
    long = [("a", f"long{k}", *[100] * 8) for k in range(10)]
    order = run([*long, ("b", "short", 5)])
    last = len(order) - order[::-1].index("short")
    # Every second slice goes to the job that has had the fewest; ten others have had
    # none.
    assert last <= 5 * (10 + 2)
    assert order[:last].count("short") == 5


@pytest.mark.parametrize("client", ["a", "b"])
def test_a_short_job_that_comes_later_waits_for_every_fourth_slice(client):
    order, started, over = [], threading.Event(), threading.Event()

    def slow():
        while len(order) < 300:
            if len(order) == 100:
                started.set()
                over.wait(60)
            order.append("long")
            yield

    def short():
        for _ in range(20):
            order.append("short")
            yield

    ended = threading.Event()
    scheduler = Scheduler(1)
    for _ in range(5):
        scheduler.submit(Job("a", [slow()], lambda error: None))
    assert started.wait(60)
    scheduler.submit(Job(client, [short()], lambda error: ended.set()))
    over.set()
    assert ended.wait(60)
    scheduler.close()
    last = len(order) - order[::-1].index("short")
    # The long ones continue meanwhile.
    assert 20 / 4 <= last - 100 - 20 <= 20 / 3 + 3


def test_clients_take_turns_however_many_jobs_each_has():
    many = [("a", "a", 30) for _ in range(20)]
    order = run([*many, ("b", "b", 30)])
    last = len(order) - order[::-1].index("b")
    # b gets half of the slices that clients take in turn.
    assert last <= 4 * 30 + 1


def test_an_ended_job_is_dropped_at_its_next_slice_and_told_once():
    scheduler, told = Scheduler(1), []
    begun, go_on, count = threading.Event(), threading.Event(), []

    def part():
        while True:
            count.append(1)
            begun.set()
            go_on.wait(60)
            yield

    job = Job("a", [part()], told.append)
    scheduler.submit(job)
    assert begun.wait(60)
    scheduler.end(job)
    scheduler.end(job)
    assert scheduler.waiting() == 0
    go_on.set()
    scheduler.close()
    assert told == [None]
    assert len(count) == 1


def test_an_error_ends_its_job_and_no_other():
    told, ended = [], threading.Event()

    def fail():
        yield
        raise ValueError("broken")

    def good():
        yield
        yield

    scheduler = Scheduler(2)
    scheduler.submit(Job("a", [fail(), good()], lambda error: told.append(error)))
    scheduler.submit(Job("a", [good()], lambda error: ended.set()))
    assert ended.wait(60)
    scheduler.close()
    assert [str(error) for error in told] == ["broken"]


def test_a_part_may_add_others():
    ended, done = threading.Event(), []

    def other(k):
        done.append(k)
        yield

    def first():
        yield
        job.parts.extend([other(1), other(2)])

    scheduler = Scheduler(2)
    job = Job("a", [], lambda error: ended.set(), size=2)
    job.parts.append(first())
    scheduler.submit(job)
    assert ended.wait(60)
    scheduler.close()
    assert sorted(done) == [1, 2]


def test_the_size_of_what_waits_is_counted_by_client():
    scheduler, go_on = Scheduler(1), threading.Event()

    def part():
        go_on.wait(60)
        yield

    for client, size in (("a", 2), ("a", 3), ("b", 1)):
        scheduler.submit(Job(client, [part()], lambda error: None, size))
    assert scheduler.waiting("a") == 5
    assert scheduler.waiting("b") == 1
    assert scheduler.waiting("c") == 0
    assert scheduler.waiting() == 6
    go_on.set()
    scheduler.close()


class Engine:
    """Draws slices and records the names of their jobs for each call."""

    batch_rows = 3

    def __init__(self):
        self.drawn = []

    def draw(self, slices, before_step):
        self.drawn.append([one.name for one in slices])
        return [one.name.upper() for one in slices]


def draw_all(engine, jobs):
    """Like `run`, for jobs whose parts have slices drawn.

    Args:
        engine: Engine that draws the slices.
        jobs: (name, steps, slices already drawn, slices of each part) of each job.

    Returns:
        What was sent to the parts.
    """
    found, left, over = [], threading.Semaphore(0), threading.Event()

    def part(name, count):
        wanted = types.SimpleNamespace(engine=engine, num_steps=len(name), name=name)
        for _ in range(count):
            found.append((yield wanted))

    def wait():
        over.wait(60)
        yield

    scheduler = Scheduler(1)
    scheduler.submit(Job("first", [wait()], lambda error: None))
    for name, num_steps, had, *parts in jobs:
        made = [part(name, count) for count in parts]
        job = Job(name, made, lambda error: left.release(), num_steps=num_steps)
        job.num_slices = had
        scheduler.submit(job)
    over.set()
    for _ in jobs:
        assert left.acquire(timeout=60)
    scheduler.close()
    return found


def test_slices_of_several_clients_are_drawn_at_a_time_if_there_are_enough():
    engine = Engine()
    found = draw_all(engine, [(name, 0, 0, 20) for name in "abcdef"])
    assert sorted(found) == sorted("ABCDEF" * 20)
    sizes = [len(names) for names in engine.drawn]
    assert set(sizes) == {1, 3}
    assert sizes.count(3) > sizes.count(1) / 2
    assert all(len(set(names)) == len(names) for names in engine.drawn)


def test_slices_of_another_length_or_too_few_are_drawn_alone():
    engine = Engine()
    draw_all(engine, [(name, 0, 0, 5) for name in ("a", "b", "cc", "dd")])
    assert {len(names) for names in engine.drawn} == {1}


def test_long_jobs_are_drawn_one_by_one_while_there_is_a_short_one():
    engine = Engine()
    draw_all(engine, [("a", 0, 21 + FAR, *[60] * 9), ("b", 0, 0, 20)])
    last = max(k for k, names in enumerate(engine.drawn) if "b" in names)
    assert {len(names) for names in engine.drawn[:last]} == {1}
    assert 3 in {len(names) for names in engine.drawn[last + 1 :]}


@pytest.mark.parametrize(("long", "together"), [(200, True), (201, False)])
def test_a_much_shorter_job_is_not_drawn_at_a_time_with_long_ones(long, together):
    engine = Engine()
    others = [(name, long, 0, 20) for name in "abcdef"]
    draw_all(engine, [*others, ("g", 100, 0, 20)])
    assert ({len(names) for names in engine.drawn if "g" in names} > {1}) is together
    assert 3 in {len(names) for names in engine.drawn}


class SteppedEngine:
    """Records what it draws, step by step; others can be drawn between steps.

    Args:
        at_step: called with the number of steps begun so far.
    """

    batch_rows = 1

    def __init__(self, at_step):
        self.at_step, self.steps = at_step, []

    def draw(self, slices, before_step):
        (one,) = slices
        for _ in range(one.num_steps):
            self.at_step(len(self.steps))
            if before_step:
                before_step()
            if one.name == "broken":
                raise ValueError("broken")
            self.steps.append(one.name)
        return ["drawn"]


def draw_beside(*jobs):
    """Draws one job in slices of 1,000 steps; others come at its tenth step.

    Args:
        jobs: (name, steps, slices of five steps) of the others.

    Returns:
        The names in the order of steps, and the errors of the others.
    """
    left, told = threading.Semaphore(0), []

    def come(step):
        if step == 9 and not told:
            told.append("come")
            for name, steps, count in jobs:
                job = Job(name, [part(name, 5, count)], end, num_steps=steps)
                scheduler.submit(job)

    def end(error):
        told.append(error)
        left.release()

    def part(name, size, count):
        wanted = types.SimpleNamespace(engine=engine, num_steps=size, name=name)
        for _ in range(count):
            yield wanted

    engine, scheduler = SteppedEngine(come), Scheduler(1)
    long = [part("long", 1000, 1)]
    scheduler.submit(Job("a", long, end, num_steps=1000))
    for _ in range(len(jobs) + 1):
        assert left.acquire(timeout=60)
    scheduler.close()
    return engine.steps, told[1:]


def test_a_much_shorter_job_is_drawn_between_the_steps_of_a_slice():
    steps, _ = draw_beside(("short", 499, 2))
    first = ["long"] * 9 + ["short"] * 5 + ["long"] + ["short"] * 5
    assert steps == first + ["long"] * 990


def test_a_job_of_half_the_length_waits_for_its_turn():
    steps, _ = draw_beside(("half", 500, 2))
    assert steps == ["long"] * 1000 + ["half"] * 10


def test_the_shortest_of_several_is_drawn_first():
    steps, _ = draw_beside(("short", 20, 1), ("shorter", 10, 1))
    assert steps[9:20] == ["shorter"] * 5 + ["long"] + ["short"] * 5


def test_short_jobs_without_end_leave_half_of_the_steps_to_a_long_one():
    steps, _ = draw_beside(("short", 10, 10_000))
    last = len(steps) - steps[::-1].index("long")
    num_long = steps[:last].count("long")
    assert num_long == 1000
    assert 1000 < last - num_long < 1000 + MAX_AHEAD + 5


def test_an_error_between_steps_ends_only_its_own_job():
    steps, told = draw_beside(("broken", 10, 1), ("short", 20, 1))
    assert steps.count("long") == 1000
    assert steps.count("short") == 5
    assert [str(error) for error in told if error] == ["broken"]
