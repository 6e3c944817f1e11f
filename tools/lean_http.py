"""An HTTP client that costs little: tools that load a service share its cores, and must measure it, not themselves.

It reads what `haneul serve` sends to JSON calls: HTTP/1.1 with a content-length.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

SECONDS = 60.0  #: for one answer


class Lost(Exception):
    """The connection ended before there was an answer."""


class Connection:
    """One connection that is kept open, one request at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.base = parts.hostname or "127.0.0.1", parts.port or 80, parts.path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers in lower case, and the JSON. Raises Lost; an answer that takes longer than SECONDS is
        lost too."""
        content = b"" if body is None else json.dumps(body).encode()
        told = {"host": f"{self.host}:{self.port}", "content-length": str(len(content))} | (headers or {})
        told |= {"content-type": "application/json"} if content else {}
        head = f"{method} {self.base}{path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in told.items()) + "\r\n"
        try:
            async with asyncio.timeout(SECONDS):
                return await self._exchange(head.encode() + content)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            raise Lost(type(error).__name__) from error

    async def _exchange(self, sent: bytes) -> tuple[int, dict[str, str], Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._streams
        writer.write(sent)
        await writer.drain()
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return int(status.split()[1]), headers, json.loads(content) if content else None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
