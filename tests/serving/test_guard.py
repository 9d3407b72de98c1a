"""What the server refuses, over a real socket: names, sizes, times, connections."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import servers
import uvicorn
from systems import needs_posix

from poph_tf.config import ServerConfig
from poph_tf.serving.api import connections, guard

CLIENTS = 8
GUARDED = ("content-security-policy", "x-content-type-options")


@pytest.fixture(scope="module")
def server():
    flags = [
        "--header_seconds=1",
        "--body_seconds=1",
        f"--max_connections_per_client={CLIENTS}",
        "--allow_hosts=studio.local",
        "--allow_origins=https://a.example",
    ]
    with servers.Server(*flags, model_dir="scores") as running:
        yield running


def exchange(server, sent, *later):
    """The answer to raw bytes until the server closes: (status, headers, body).

    Args:
        server: servers.Server.
        sent: bytes that are sent at once.
        *later: bytes, each sent a little later.
    """
    with server.connect() as connection:
        connection.sendall(sent)
        with contextlib.suppress(OSError):  # the server has closed
            for part in later:
                time.sleep(0.05)
                connection.sendall(part)
        return parsed(received(connection))


def received(connection):
    content = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            content += part
    return content


def parsed(content):
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def request(method="GET", path="/healthz", body=b"", **headers):
    """The bytes of a request that closes its connection."""
    headers = {"Host": "localhost", "Connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if body:
        headers |= {"Content-Type": "application/json"}
        headers = {"Content-Length": len(body)} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:80"}, 200),
        ({"Host": "[::1]:8501"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "studio.local"}, 200),
        ({"Host": "evil.example"}, 400),
        ({"Host": "localhost.evil.example"}, 400),
        ({"Host": "localhost@evil.example"}, 400),
        ({"Host": "10.0.0.7"}, 400),
        ({"Host": "["}, 400),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://a.example"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://a.example.evil.example"}, 403),
        ({"Origin": "http://localhost:99"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_known_names_and_pages_may_ask(server, headers, status):
    found, answered, body = exchange(server, request(**headers))
    assert found == status
    assert (status == 200) != ("error" in json.loads(body))
    assert ("access-control-allow-origin" in answered) == (
        headers.get("Origin") == "https://a.example"
    )


def test_a_page_of_an_allowed_site_may_ask_first(server):
    asked = request("OPTIONS", "/v1/compose", Origin="https://a.example")
    status, headers, _ = exchange(server, asked)
    assert status == 204
    assert headers["access-control-allow-headers"] == "content-type"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(), 200),
        (request(path="/"), 200),
        (request(path="/page/../../serve.py"), 404),
        (request(path="/page/serve/%2e%2e/%2e%2e/serve.py"), 404),
        (request("BREW", "/v1/compose"), 405),
        (request("POST", "/v1/compose", b"{"), 400),
        (request("POST", "/v1/compose", Content_Length="10000000000"), 413),
        (request("POST", "/v1/compose", Content_Length="9" * 5000), 400),
        (request("POST", "/v1/compose", Content_Length="-1"), 400),
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (request(X="y" * 400_000), 400),
        (b"GET /healthz HTTP/1.1\r\nHost: local", 408),
        (request("POST", "/v1/compose", b"{", Content_Length="20"), 408),
        (b"", 408),
    ],
)
def test_every_answer_is_json_with_headers_that_guard_the_browser(server, sent, status):
    found, headers, body = exchange(server, sent)
    assert found == status
    assert set(GUARDED) <= set(headers)
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    if status != 200:
        assert re.fullmatch(r'{"error": ?".+"}', body.decode())
        assert b"Traceback" not in body


def test_a_body_without_an_end_is_refused_when_it_is_too_large(server):
    head = request("POST", "/v1/compose", Transfer_Encoding="chunked")
    chunk = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
    head = head.replace(b"Connection", b"Content-Type: application/json\r\nConnection")
    status, _, body = exchange(server, head, *[chunk] * 5)
    assert status == 413
    assert json.loads(body)["error"] == "The body may have at most 1048576 bytes."


def test_a_body_that_is_too_large_can_be_sent_whole_and_is_answered(server):
    status, _, body = exchange(server, request("POST", "/v1/compose", b" " * 2**24))
    assert status == 413
    assert json.loads(body)["error"] == "The body may have at most 1048576 bytes."


def test_the_state_of_a_piece_may_be_larger_than_other_bodies(server):
    sent = request("POST", "/v1/models/m:predict", b" " * 2**21)
    status, _, _ = exchange(server, sent)
    assert status != 413


@contextlib.contextmanager
def guarded(config):
    """A connection to a `Guard` in this process."""
    application = guard.Guard(None, config)
    settings = uvicorn.Config(
        application, http=connections.protocol(config), lifespan="off", log_config=None
    )
    server = uvicorn.Server(settings)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            with socket.create_connection(listening.getsockname(), 60) as connection:
                yield connection
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("later", [b"", b" " * 2**20])
def test_a_body_that_is_told_to_be_too_large_is_answered_before_it_comes(
    monkeypatch, later
):
    monkeypatch.setattr(guard, "LINGER_SECONDS", 600)
    with guarded(ServerConfig(body_seconds=600)) as connection:
        connection.sendall(request("POST", "/", Content_Length=2**30))
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            assert (answer.status, answer.headers["Connection"]) == (413, "close")
            assert b"The body may have at most 1048576 bytes." in answer.read()
        connection.sendall(later)


def test_the_connection_closes_after_a_while_if_the_body_does_not_come(monkeypatch):
    monkeypatch.setattr(guard, "LINGER_SECONDS", 0.1)
    with guarded(ServerConfig()) as connection:
        connection.sendall(request("POST", "/", Content_Length=2**30))
        assert parsed(received(connection))[0] == 413


def test_slow_heads_and_bodies_are_not_waited_for(server):
    drops = [b"X"] * 60
    status, _, _ = exchange(server, b"GET /healthz HTTP/1.1\r\n", *drops)
    assert status == 408
    head = request("POST", "/v1/compose", b"{", Content_Length="100")
    status, _, _ = exchange(server, head, *drops)
    assert status == 408


def test_an_address_has_a_number_of_connections_and_idle_ones_are_closed(server):
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        until_refused = parsed(received(stack.enter_context(server.connect())))
        assert until_refused[0] == 429
        assert "Too many connections" in json.loads(until_refused[2])["error"]
        assert [parsed(received(each))[0] for each in idle] == [408] * CLIENTS
    assert server.ask("healthz")[0] == 200


@needs_posix
def test_sigterm_ends_pieces_at_the_next_bar_with_a_sentence():
    with servers.Server(model_dir="scores") as server, server.connect() as connection:
        body = b'{"num_bars": 1000}'
        head = request("POST", "/v1/compose", body, Accept="text/event-stream")
        connection.sendall(head)
        first = connection.recv(65536)
        while b"event: bar" not in first:
            first += connection.recv(65536)
        server.process.terminate()
        rest = received(connection)
        assert b"event: error" in rest
        assert b"The server is stopping; ask again in a moment." in rest
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.process.stderr.read()


@needs_posix
def test_a_second_signal_leaves_no_traceback():
    with servers.Server(model_dir="chorales") as server:
        server.process.send_signal(signal.SIGINT)
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert server.process.stderr.read() == ""


def test_a_port_in_use_is_told_before_anything_heavy_is_imported():
    code = (
        "import sys; from poph_tf import serve; from poph_tf.errors import InputError\n"
        "try: serve._listen('127.0.0.1', int(sys.argv[1]))\n"
        "except InputError as error: print(error)\n"
        "print({'numpy', 'tensorflow', 'fastapi'} & set(sys.modules))"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", code, str(port)], capture_output=True, text=True
        )
    told, modules = done.stdout.splitlines()
    assert told.startswith(f"Cannot listen at 127.0.0.1:{port} (Address already in use")
    assert modules == "set()"
