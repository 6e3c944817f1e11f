"""`haneul studio`: the service and its pages, opened in the browser."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path

import click

from haneul.cli.base import main
from haneul.cli.serve import DATA, _check_installed, _config

PORT = 8000


@main.command()
@click.option("--port", type=int, help="0: any free one.  [default: 8000, or a free one if that is taken]")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes that make videos.")
@click.option("--steps", type=int, help="Sampling steps where nothing else is asked for.  [default: the model's]")
@click.option("--browser/--no-browser", default=True, help="Whether to open it; its address is printed anyway.")
@DATA
def studio(port: int | None, workers: int, steps: int | None, browser: bool, data: Path | None) -> None:
    """Open the studio: make, keep, edit and examine videos in the browser. Only this machine can reach it."""
    opened(data, port=port, workers=workers, steps=steps, browser=browser)


def opened(
    data: Path | None, *, port: int | None, workers: int, steps: int | None = None, browser: bool = True, room: str = ""
) -> None:
    """Serves the studio until asked to end, and opens the browser in a room of it."""
    _check_installed()
    from haneul.errors import OutputError
    from haneul.serve import logs, supervise

    config = _config(data, port=PORT if port is None else port, workers=workers, steps=steps)
    logs.set_up("supervisor")
    try:
        listening = supervise.listen(config)
    except OutputError:
        if port is not None:
            raise
        listening = supervise.listen(_config(data, port=0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    click.echo(f"{url}{room}")
    if browser:
        threading.Thread(target=_open, args=(url, room), daemon=True).start()
    supervise.Supervisor(config, listening).run()


def _open(url: str, room: str) -> None:
    """Opens the browser once the service answers."""
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}healthz", timeout=1):
            webbrowser.open(f"{url}{room}")
            return
        time.sleep(0.1)
