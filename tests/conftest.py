"""Setup shared by all tests; the small models and pieces are in small.py."""

import collections
import json
import os
import pathlib
import shutil
import sys
import tempfile

# TensorFlow reads this on its first import; without it, its log clutters every run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# With several test processes, each uses one core, children included.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

# A folder for files that are costly to make, shared by all processes of a run.
OWN_FOLDER = None
if "POPH_TESTS_SHARED" not in os.environ:
    OWN_FOLDER = os.environ["POPH_TESTS_SHARED"] = tempfile.mkdtemp(
        prefix="poph-tests-"
    )

import hypothesis  # noqa: E402

# A busy machine must not fail a test.
hypothesis.settings.register_profile("untimed", deadline=None)
# For tools that only need to know whether a test fails, not the smallest example.
hypothesis.settings.register_profile(
    "unshrunk",
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))

import pytest  # noqa: E402

# Files with few but long tests. Ordered by number of tests they would come last, and
# one process would wait for the other.
LONG_FILES = (
    "test_training.py", "test_multi_worker.py", "test_survival.py", "test_commands.py",
    "test_likelihood_benchmark.py", "test_export.py", "test_server.py",
    "test_studio.py",
)  # fmt: skip
# The tests in these folders do not depend on graph optimization. Their graphs are
# small and run a few times, so optimizing takes longer than running.
PLAIN_GRAPHS = ("training", "evaluation", "generation", "models")
# These compare pieces with what users get, to the last note.
OPTIMIZED_GRAPHS = ("test_golden.py", "test_light_engine.py", "test_light_chorales.py")


def pytest_collection_modifyitems(items):
    """Runs the long files first; otherwise keeps the order."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(scope="module", autouse=True)
def graphs_are_optimized_where_it_matters(request):
    """Turns TensorFlow's graph optimizer off in the folders of `PLAIN_GRAPHS`."""
    folder, name = request.path.parts[-2:]
    if folder not in PLAIN_GRAPHS or name in OPTIMIZED_GRAPHS:
        yield
        return
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


# Slipcover sets this in the process that starts the others.
MEASURES_COVERAGE = "SLIPCOVER_ENABLED" in os.environ


def pytest_configure():
    """Makes all child processes record what they run while coverage is measured."""
    if MEASURES_COVERAGE:
        folder = str(pathlib.Path(__file__).parent / "children")
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, *paths]))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    """Stops servers; adds the lines that child processes ran to the coverage."""
    for server in getattr(sys.modules.get("servers"), "shared_servers", ()):
        server.stop()
    folder = pathlib.Path(os.environ.get("SLIPCOVER_COVERAGE_DIR", "."))
    if not MEASURES_COVERAGE or "PYTEST_XDIST_WORKER" in os.environ:
        return
    hits = collections.defaultdict(set)
    for path in folder.glob("child-*.json"):
        for name, *place in json.loads(path.read_text()):
            hits[name].add(tuple(place))
    for worker in folder.glob("coverage-gw*.json"):
        coverage = json.loads(worker.read_text())
        for name, counts in coverage["files"].items():
            places = hits[os.path.abspath(name)]
            _add(counts, "lines", {line for line, *end in places if not end})
            _add(counts, "branches", {place for place in places if len(place) == 2})
        worker.write_text(json.dumps(coverage))


def _add(counts, kind, places):
    """Moves lines or branches of one file from missing to executed."""
    missing = counts[f"missing_{kind}"]
    found = [x for x in missing if (tuple(x) if kind == "branches" else x) in places]
    counts[f"executed_{kind}"] += found
    counts[f"missing_{kind}"] = [place for place in missing if place not in found]


def pytest_unconfigure():
    """Removes the shared folder in the process that made it, which ends last."""
    if OWN_FOLDER:
        shutil.rmtree(OWN_FOLDER, ignore_errors=True)
