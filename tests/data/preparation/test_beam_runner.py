"""Tests of data preparation as an Apache Beam pipeline (extra `beam`)."""

import importlib.util
import os
import signal
import threading
import time

import pytest
from collections_of_songs import shards, write

from poph_tf.config import DataConfig, ExecutionOptions
from poph_tf.data import examples
from poph_tf.data.preparation import pipeline
from poph_tf.errors import InputError

HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
DASK = "apache_beam.runners.dask.dask_runner.DaskRunner"
HAS_DASK = HAS_BEAM and importlib.util.find_spec("distributed") is not None


def prepared(root, output, runner, beam_options=""):
    options = ExecutionOptions(runner=runner, beam_options=beam_options)
    return pipeline.prepare(DataConfig(input=(str(root),)), output, options)


@pytest.mark.skipif(not HAS_BEAM, reason="needs the extra beam")
def test_a_pipeline_makes_the_same_shards_as_the_local_workers(tmp_path):
    root = write(tmp_path / "songs", 100)
    (root / "bach" / "bad.mid").write_text("hello")
    local = prepared(root, tmp_path / "local", "local")
    beam = prepared(root, tmp_path / "beam", "beam")
    assert shards(tmp_path / "beam") == shards(tmp_path / "local")
    assert beam == local
    assert beam == examples.read_info(tmp_path / "beam")
    assert beam.rejects == {"not a MIDI file (it does not begin with MThd)": 1}


@pytest.mark.skipif(not HAS_DASK, reason="needs apache-beam[dask]")
def test_a_cluster_that_loses_a_worker_makes_the_same_shards(tmp_path):
    from distributed import LocalCluster

    root = write(tmp_path / "songs", 400)
    prepared(root, tmp_path / "local", "local")
    chunks = tmp_path / "dask" / ".unfinished"
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        victim = cluster.workers[0].pid

        def kill():
            while not any(chunks.glob("*.chunk")):
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        options = f"--runner={DASK} --dask_client_address={cluster.scheduler_address}"
        prepared(root, tmp_path / "dask", "beam", options)
        killer.join(1)
        assert not killer.is_alive()
    assert shards(tmp_path / "dask") == shards(tmp_path / "local")


@pytest.mark.skipif(HAS_BEAM, reason="needs an environment without the extra beam")
def test_without_beam_one_line_says_how_to_get_it(tmp_path):
    root = write(tmp_path / "songs", 1)
    with pytest.raises(InputError, match=r"pip install 'poph_tf\[beam\]'"):
        prepared(root, tmp_path / "out", "beam")
    with pytest.raises(InputError, match="runner must be one of local, beam"):
        prepared(root, tmp_path / "out", "cloud")
