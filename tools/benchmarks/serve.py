"""Serving a model with random weights: latency and throughput over REST, and a soak.

Clients on the same machine each ask the development server for one piece after another,
without and with merging of requests. The soak then asks for short pieces for a while;
a leak of memory would show as growth after its first fifth.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import psutil

BARS, BAR_STEPS = 4, 16
CLIENTS = (1, 4, 16)
SOAK_CLIENTS = 4
SOAK_MINUTES, QUICK_SOAK_MINUTES = 10.0, 0.5
SETTLED_SHARE = 0.2  # of the soak, before memory is read first
STOP_SECONDS = 300


def run(quick: bool = False, preset: str = "deepj") -> dict[str, Any]:
    """Figures of the server, by number of clients."""
    from poph_tf import config, models, serving

    rounds = 2 if quick else 8
    with tempfile.TemporaryDirectory() as folder:
        export_dir = pathlib.Path(folder) / "poph"
        limits = serving.Limits(max_steps=512, max_batch=16)
        serving.export(models.build(config.preset(preset)), export_dir, limits=limits)
        with Server(export_dir) as server:
            alone = {str(n): latencies(server, n, rounds) for n in CLIENTS}
        with Server(export_dir, "--batching", "--batch_timeout_ms=20") as server:
            merged = {str(n): latencies(server, n, rounds) for n in CLIENTS}
            soaked = soak(server, QUICK_SOAK_MINUTES if quick else SOAK_MINUTES)
    figures = {"preset": preset, "bars": BARS, "clients": alone}
    return figures | {"clients_with_batching": merged, **soaked}


class Server:
    """The development server in its own process, on a free port."""

    def __init__(self, export_dir: pathlib.Path, *flags: str) -> None:
        command = [sys.executable, "-m", "poph_tf.serve", f"--export_dir={export_dir}"]
        self.process = subprocess.Popen(
            [*command, "--port=0", *flags], stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if "http://" not in line:
            raise RuntimeError("The server did not start.")
        self.url = line[line.index("http://") :].strip()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(STOP_SECONDS)

    def compose(self, seed: int, bars: int) -> float:
        """Seconds that a piece took."""
        instance = {
            "seed": [seed, 0],
            "num_steps": bars * BAR_STEPS,
            "temperature": 1.0,
            "style": [1.0],
            "tempo_qpm": 120,
        }
        body = {"signature_name": "compose_midi", "instances": [instance]}
        start = time.perf_counter()
        url = f"{self.url}v1/models/poph:predict"
        with urllib.request.urlopen(url, json.dumps(body).encode()) as response:
            json.load(response)
        return time.perf_counter() - start

    def memory_mb(self) -> float:
        """Resident memory of the server."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20


def latencies(server: Server, num_clients: int, rounds: int) -> Mapping[str, float]:
    """Figures of `num_clients` clients that ask for `rounds` pieces each."""

    def ask(client: int) -> list[float]:
        return [server.compose(client * 1000 + k, BARS) for k in range(rounds)]

    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        list(pool.map(lambda client: server.compose(client, BARS), range(num_clients)))
        start = time.perf_counter()
        times = sorted(sum(pool.map(ask, range(num_clients)), []))
        seconds = time.perf_counter() - start
    figures = {
        f"p{share}_seconds": times[min(len(times) * share // 100, len(times) - 1)]
        for share in (50, 95, 99)
    }
    return figures | {"pieces_per_minute": 60 * len(times) / seconds}


def soak(server: Server, minutes: float) -> Mapping[str, float]:
    """Asks for one-bar pieces for a while; an error raises."""
    end = time.monotonic() + 60 * minutes

    def ask(client: int) -> int:
        count = 0
        while time.monotonic() < end:
            server.compose(client * 100_000 + count, bars=1)
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(SOAK_CLIENTS) as pool:
        counts = [pool.submit(ask, client) for client in range(SOAK_CLIENTS)]
        time.sleep(60 * minutes * SETTLED_SHARE)
        before = server.memory_mb()
        pieces = sum(count.result() for count in counts)
    after = server.memory_mb()
    return {
        "soak_minutes": minutes,
        "soak_pieces": pieces,
        "soak_memory_mb": after,
        "soak_memory_growth_mb": after - before,
    }
