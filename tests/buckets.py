"""A server that speaks S3, in this process, for the tests."""

from __future__ import annotations

import logging
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

NAMES = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@contextmanager
def bucket() -> Iterator[str]:
    """The URL of an empty bucket, for as long as the block; keys to it are in the environment meanwhile."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        make = urllib.request.Request(f"{endpoint}/videos", method="PUT")
        with urllib.request.urlopen(make, timeout=10), patch.dict(os.environ, NAMES):
            yield f"s3://videos/of/haneul?endpoint={endpoint}"
    finally:
        server.stop()
