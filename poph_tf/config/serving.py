"""What an exported model may be asked for, and how the server runs."""

from typing import Annotated

from annotated_types import Interval

from poph_tf.config.declaration import settings


@settings
class Limits:
    """What one request may ask for; part of the export."""

    max_steps: Annotated[int, Interval(ge=1, le=2**20)] = 4096
    """Longest piece to compose, continue or score in one request, in steps."""
    max_batch: Annotated[int, Interval(ge=1, le=4096)] = 64
    """Most pieces in one request, or in a batch that TF Serving merges."""


@settings
class ServerConfig:
    """How the server runs."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: Annotated[int, Interval(ge=0, le=65535)] = 8501
    """Port to listen on; 0 takes a free one."""
    batching: bool = False
    """Merge requests that come at the same time."""
    batch_timeout_ms: Annotated[float, Interval(ge=0.0, le=60_000.0)] = 5.0
    """Milliseconds that a request waits for others to join its batch."""
    num_threads: Annotated[int, Interval(ge=0, le=1024)] = 0
    """Batches run at once; 0: one a core."""
    timeout_seconds: Annotated[float, Interval(ge=0.1, le=86_400.0)] = 120.0
    """Seconds for one request."""
    max_body_mb: Annotated[int, Interval(ge=1, le=1024)] = 32
    """Largest request body."""
    body_seconds: Annotated[float, Interval(ge=0.001, le=86_400.0)] = 30.0
    """Seconds for a request's body to arrive."""
    max_waiting: Annotated[int, Interval(ge=1, le=65_536)] = 64
    """Requests at once, running or waiting."""
    poll_seconds: Annotated[float, Interval(ge=0.0, le=86_400.0)] = 5.0
    """Seconds between looks for a new version; 0: stay with this version."""
    warm_up: bool = True
    """Compose a small piece before the first client is let in."""
