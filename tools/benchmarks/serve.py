"""Serving a model of DeepJ's size: latency and throughput over REST, and a soak.

Clients on the same machine each ask for one piece after another from the development
server, without and with merging of requests. The soak then asks for short pieces for a
while; memory that is not given back would show as growth after its first fifth.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BARS, BAR_STEPS = 4, 16
CLIENTS = (1, 4, 16)
SOAK_CLIENTS = 4
SOAK_MINUTES, QUICK_SOAK_MINUTES = 10.0, 0.5
SETTLED_SHARE = 0.2  # of the soak, before memory is read first
STOP_SECONDS = 300


def run(quick=False):
    from poph_tf import config, models, serving

    rounds = 2 if quick else 8
    minutes = QUICK_SOAK_MINUTES if quick else SOAK_MINUTES
    with tempfile.TemporaryDirectory() as folder:
        export_dir = str(pathlib.Path(folder) / "poph")
        limits = serving.Limits(max_steps=512, max_batch=16)
        serving.export(models.build(config.preset("deepj")), export_dir, limits=limits)
        with Server(export_dir) as server:
            alone = {str(n): latencies(server, n, rounds) for n in CLIENTS}
        with Server(export_dir, "--batching", "--batch_timeout_ms=20") as server:
            merged = {str(n): latencies(server, n, rounds) for n in CLIENTS}
            soaked = soak(server, minutes)
    return {"bars": BARS, "clients": alone, "clients_with_batching": merged, **soaked}


class Server:
    """The development server in a process of its own, on a free port."""

    def __init__(self, export_dir, *flags):
        command = [sys.executable, "-m", "poph_tf.serve", f"--export_dir={export_dir}"]
        self.process = subprocess.Popen(
            [*command, "--port=0", *flags], stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise RuntimeError("The server did not start.")
        self.url = line[line.index("http://") :].strip()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(STOP_SECONDS)

    def compose(self, seed, bars):
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
        with urllib.request.urlopen(
            f"{self.url}v1/models/poph:predict", json.dumps(body).encode()
        ) as response:
            json.load(response)
        return time.perf_counter() - start

    def memory_mb(self):
        """Resident memory of the server."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def latencies(server, num_clients, rounds):
    """Figures of `num_clients` clients that ask for `rounds` pieces each, after one."""
    times = []

    def ask(client, rounds):
        times.extend(
            server.compose(client * 1000 + k, bars=BARS) for k in range(rounds)
        )

    at_once(ask, num_clients, 1)
    times.clear()
    start = time.perf_counter()
    at_once(ask, num_clients, rounds)
    seconds = time.perf_counter() - start
    times.sort()
    figures = {
        f"p{share}_seconds": times[min(len(times) * share // 100, len(times) - 1)]
        for share in (50, 95, 99)
    }
    return figures | {"pieces_per_minute": 60 * len(times) / seconds}


def soak(server, minutes):
    """Asks for one-bar pieces for a while; an error raises."""
    end = time.monotonic() + 60 * minutes
    settled = time.monotonic() + 60 * minutes * SETTLED_SHARE
    counts, before = [0] * SOAK_CLIENTS, []

    def ask(client, _):
        while time.monotonic() < end:
            server.compose(client * 100_000 + counts[client], bars=1)
            counts[client] += 1
            if client == 0 and not before and time.monotonic() > settled:
                before.append(server.memory_mb())

    at_once(ask, SOAK_CLIENTS, None)
    after = server.memory_mb()
    return {
        "soak_minutes": minutes,
        "soak_pieces": sum(counts),
        "soak_memory_mb": after,
        "soak_memory_growth_mb": after - before[0],
    }


def at_once(ask, num_clients, rounds):
    """Runs `ask(client, rounds)` in a thread a client; the first error raises."""
    errors = []

    def guarded(client):
        try:
            ask(client, rounds)
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=guarded, args=(client,))
        for client in range(num_clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
