"""A short piece's share beside long ones, counted in bars over a real socket."""

import json
import socket
import threading

import pytest
import servers

SHORT_BARS, BEGUN_BARS = 4, 8
# Bars drawn before the short piece arrived or after its end was sent: at most one in
# transit for each long piece, and the slice in progress at either end.
SLACK = 2


class Stream:
    """A piece streamed bar by bar, read in a thread; counts its bars."""

    def __init__(self, server, num_bars, seed):
        self.bars, self.begun = 0, threading.Event()
        self.connection = server.connect()
        body = json.dumps({"num_bars": num_bars, "seed": seed})
        lines = [
            *("POST /v1/compose HTTP/1.1", "Host: localhost", "Connection: close"),
            *("Content-Type: application/json", "Accept: text/event-stream"),
            *(f"Content-Length: {len(body)}", "", body),
        ]
        self.connection.sendall("\r\n".join(lines).encode())
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.connection.makefile("rb"):
            self.bars += line.startswith(b"event: bar")
            if self.bars == BEGUN_BARS:
                self.begun.set()

    def hang_up(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.connection.close()


@pytest.fixture(scope="module")
def server():
    # All bars are drawn one after another.
    with servers.Server("--num_threads=1", model_dir="scores") as running:
        yield running


@pytest.mark.parametrize("num_long", [1, 6])
def test_a_short_piece_gets_half_of_the_bars_beside_long_ones(server, num_long):
    long = [Stream(server, 1000, seed) for seed in range(num_long)]
    for stream in long:
        assert stream.begun.wait(300)
    before = sum(stream.bars for stream in long)
    short = Stream(server, SHORT_BARS, 0)
    short.thread.join(300)
    others = sum(stream.bars for stream in long) - before
    assert all(stream.thread.is_alive() for stream in long)
    for stream in long:
        stream.hang_up()
    short.connection.close()
    assert short.bars == SHORT_BARS
    assert others <= SHORT_BARS + SLACK + num_long
