"""A real browser in the studio, for the tests that need one: Chromium, named by HANEUL_CHROMIUM."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import wait_for

from haneul.serve import studio

CHROMIUM = os.environ.get("HANEUL_CHROMIUM")
needs_browser = pytest.mark.skipif(
    not CHROMIUM, reason="these take minutes; name a browser with HANEUL_CHROMIUM=/path/to/chromium to run them"
)
PATIENCE = 120_000  # milliseconds: for a slow machine
ROOMS = ("create", "library", "edit", "board", "play", "compare", "glass", "queue", "admin")
#: What is there once a room has what it asks the service for; elsewhere its title.
THERE = {
    "glass": ".scenes li",
    "library": ".window .badge",
    "edit": ".clip .face, .film",
    "play": ".screen.live",
    "queue": ".figures strong",
    "admin": ".policy select",
}


def table(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in (f"{name}.json", f"{name}.values.json"):
        found |= json.loads((studio.FOLDER / "words" / file).read_text(encoding="utf-8"))
    return found


class Visit:
    """A page in a browser of its own state. Whatever the console says against it is kept in `problems`."""

    def __init__(self, browser: Any, root: str, **how: Any) -> None:
        self.root = root
        self.context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 900}} | how)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.watch(self.page)

    def watch(self, page: Any) -> None:
        def said(message: Any) -> None:
            if message.type in ("error", "warning"):
                self.problems.append(message.text)

        page.on("console", said)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

        def asked(request: Any) -> None:
            if not request.url.startswith((self.root, "blob:", "data:")):
                self.problems.append(f"a request to {request.url}")

        page.on("request", asked)

    def to(self, room: str) -> Any:
        """Goes to a room anew."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.root}/#/{room}")
        self.page.wait_for_selector(f".room[data-room={room.split('/')[0]}] h1", state="attached")
        return self.page


def until(page: Any, expression: str) -> None:
    """Waits until something is true on a page; asked from outside, for the page's own policy forbids to evaluate."""
    wait_for(lambda: page.evaluate(f"() => Boolean({expression})"), PATIENCE / 1000)


class Wire:
    """What lies between a browser and a service, and can be cut: what is open ends, and nothing new is answered."""

    def __init__(self, root: str) -> None:
        address = urlsplit(root)
        self._to = (str(address.hostname), int(address.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.root = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._whole, self._open = True, set[socket.socket]()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                one, _ = self._listener.accept()
                if not self._whole:
                    one.close()
                    continue
                other = socket.create_connection(self._to)
                self._open |= {one, other}
                for ends in ((one, other), (other, one)):
                    self._threads.append(threading.Thread(target=self._carry, args=ends, daemon=True))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self._whole = False
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for one in (self._listener, *self._open):
            one.close()
