"""Limits of requests to an exported model, and settings of the server."""

from typing import Annotated

from annotated_types import Interval

from poph_tf.config.declaration import Texts, settings


@settings
class Limits:
    """Limits of one request; part of the export.

    Example:
        >>> Limits(max_steps=1024)
        Limits(max_steps=1024, max_batch=64)
    """

    max_steps: Annotated[int, Interval(ge=1, le=2**20)] = 4096
    """Longest piece, in steps, to compose, continue or score in one request."""
    max_batch: Annotated[int, Interval(ge=1, le=4096)] = 64
    """Maximum number of pieces in one request, or in a batch that TF Serving merges."""


@settings
class ServerConfig:
    """Settings of the server.

    Example:
        >>> config = ServerConfig(port=0, allow_origins=("https://example.org",))
        >>> config.host, config.port, config.allow_origins
        ('127.0.0.1', 0, ('https://example.org',))
    """

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 accepts other machines too."""
    port: Annotated[int, Interval(ge=0, le=65535)] = 8501
    """Port to listen on; 0 picks a free one."""
    allow_hosts: Texts = ()
    """Host names that clients may use, besides localhost and the server's address."""
    allow_origins: Texts = ()
    """Web sites whose pages may call this server, such as https://example.org."""
    num_threads: Annotated[int, Interval(ge=0, le=1024)] = 0
    """Number of pieces drawn, or batches run, at once; 0: one per core."""
    timeout_seconds: Annotated[float, Interval(ge=0.1, le=86_400.0)] = 120.0
    """Seconds allowed for a request that has arrived: reading, waiting, composing."""
    max_request_steps: Annotated[int, Interval(ge=1, le=2**30)] = 32_768
    """Maximum steps of one request, over all its pieces and candidates."""
    max_waiting: Annotated[int, Interval(ge=1, le=65_536)] = 256
    """Maximum pieces running or waiting, including music being read or rendered."""
    max_waiting_per_client: Annotated[int, Interval(ge=1, le=65_536)] = 128
    """Maximum pieces running or waiting for one client address."""
    max_body_mb: Annotated[int, Interval(ge=1, le=1024)] = 1
    """Largest request body, in megabytes."""
    max_upload_mb: Annotated[int, Interval(ge=1, le=1024)] = 8
    """Largest music file sent as a form, or piece sent with its state, in megabytes."""
    header_seconds: Annotated[float, Interval(ge=0.001, le=86_400.0)] = 10.0
    """Seconds allowed for the head of a request to arrive."""
    body_seconds: Annotated[float, Interval(ge=0.001, le=86_400.0)] = 30.0
    """Seconds allowed for a request's body to arrive, and for a client to take what is
    sent."""
    idle_seconds: Annotated[int, Interval(ge=1, le=86_400)] = 15
    """Seconds that a connection may stay idle between two requests."""
    max_connections: Annotated[int, Interval(ge=1, le=65_536)] = 512
    """Maximum number of open connections."""
    max_connections_per_client: Annotated[int, Interval(ge=1, le=65_536)] = 128
    """Maximum number of open connections from one client address."""
    batching: bool = False
    """Merge requests to a SavedModel that arrive at the same time."""
    batch_timeout_ms: Annotated[float, Interval(ge=0.0, le=60_000.0)] = 5.0
    """Milliseconds that a request waits for others to join its batch."""
    poll_seconds: Annotated[float, Interval(ge=0.0, le=86_400.0)] = 5.0
    """Seconds between checks for a new version; 0: keep this version."""
    warm_up: bool = True
    """Run a small piece through a SavedModel before accepting clients."""
