"""What an exported model may be asked for, and how the server runs."""

from typing import Annotated

from annotated_types import Interval

from poph_tf.config.declaration import Texts, settings


@settings
class Limits:
    """What one request may ask for; part of the export.

    Example:
        >>> Limits(max_steps=1024)
        Limits(max_steps=1024, max_batch=64)
    """

    max_steps: Annotated[int, Interval(ge=1, le=2**20)] = 4096
    """Longest piece to compose, continue or score in one request, in steps."""
    max_batch: Annotated[int, Interval(ge=1, le=4096)] = 64
    """Most pieces in one request, or in a batch that TF Serving merges."""


@settings
class ServerConfig:
    """How the server runs.

    Example:
        >>> config = ServerConfig(port=0, allow_origins=("https://example.org",))
        >>> config.host, config.port, config.allow_origins
        ('127.0.0.1', 0, ('https://example.org',))
    """

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: Annotated[int, Interval(ge=0, le=65535)] = 8501
    """Port to listen on; 0 takes a free one."""
    allow_hosts: Texts = ()
    """Names by which clients may call this server, beside localhost and its address."""
    allow_origins: Texts = ()
    """Web sites whose pages may call this server, such as https://example.org."""
    num_threads: Annotated[int, Interval(ge=0, le=1024)] = 0
    """Pieces drawn, or batches run, at once; 0: one a core."""
    timeout_seconds: Annotated[float, Interval(ge=0.1, le=86_400.0)] = 120.0
    """Seconds for one request, once it has arrived: reading, waiting, composing."""
    max_request_steps: Annotated[int, Interval(ge=1, le=2**30)] = 32_768
    """Steps that one request may ask for, all its pieces and candidates together."""
    max_waiting: Annotated[int, Interval(ge=1, le=65_536)] = 256
    """Pieces at once, running or waiting; also music that is read or rendered."""
    max_waiting_per_client: Annotated[int, Interval(ge=1, le=65_536)] = 128
    """Pieces of one address at once, running or waiting."""
    max_body_mb: Annotated[int, Interval(ge=1, le=1024)] = 1
    """Largest request body."""
    max_upload_mb: Annotated[int, Interval(ge=1, le=1024)] = 8
    """Largest music file that is sent as a form, or piece with its state."""
    header_seconds: Annotated[float, Interval(ge=0.001, le=86_400.0)] = 10.0
    """Seconds for the head of a request to arrive."""
    body_seconds: Annotated[float, Interval(ge=0.001, le=86_400.0)] = 30.0
    """Seconds for a request's body to arrive, and for a client to take what is sent."""
    idle_seconds: Annotated[int, Interval(ge=1, le=86_400)] = 15
    """Seconds that a connection may be idle between two requests."""
    max_connections: Annotated[int, Interval(ge=1, le=65_536)] = 512
    """Connections at once."""
    max_connections_per_client: Annotated[int, Interval(ge=1, le=65_536)] = 128
    """Connections of one address at once."""
    batching: bool = False
    """Merge requests to a SavedModel that come at the same time."""
    batch_timeout_ms: Annotated[float, Interval(ge=0.0, le=60_000.0)] = 5.0
    """Milliseconds that a request waits for others to join its batch."""
    poll_seconds: Annotated[float, Interval(ge=0.0, le=86_400.0)] = 5.0
    """Seconds between looks for a new version; 0: stay with this version."""
    warm_up: bool = True
    """Run a small piece through a SavedModel before the first client is let in."""
