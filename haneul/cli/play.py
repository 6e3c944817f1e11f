"""`haneul play`: a world to steer, in the browser or in the terminal itself."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from haneul.cli.base import PATH, WEIGHTS, main, progress_display
from haneul.cli.serve import DATA
from haneul.cli.studio import opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from haneul.play import Shown

HELD = 0.35  #: seconds for which a key counts as held after its last repeat; a terminal does not tell when it is let go
UPPER = "▀"  #: its ink is the upper pixel of a cell, its ground the lower one
#: What a terminal sends -> what it means; the letters also as a Korean keyboard has them.
KEYS = {
    "\x1b[A": "go", "\x1bOA": "go", "w": "go", "W": "go", "ㅈ": "go",
    "\x1b[D": "left", "\x1bOD": "left", "a": "left", "A": "left", "ㅁ": "left",
    "\x1b[C": "right", "\x1bOC": "right", "d": "right", "D": "right", "ㅇ": "right",
    "q": "quit", "Q": "quit", "ㅂ": "quit", "\x03": "quit", "\x04": "quit",
}  # fmt: skip


@main.command()
@click.argument("prompt", default="")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Draws what the prompt leaves open.  [default: drawn]")
@click.option("--browser", "where", flag_value="browser", default="browser", help="In the studio.  [default]")
@click.option("--terminal", "where", flag_value="terminal", help="In this terminal: arrow keys or W, A, D; q quits.")
@click.option("--save", type=PATH, metavar="FILE", help="With --terminal: the ride as a signed video at the end.")
@click.option("--port", type=int, help="Of the studio.  [default: 8000, or a free one if that is taken]")
@click.option("--open/--no-open", "shown", default=True, help="Whether the browser is opened; the address is printed.")
@DATA
def play(
    prompt: str, seed: int | None, where: str, save: Path | None, port: int | None, shown: bool, data: Path | None
) -> None:
    """Play a world: PROMPT says what is ridden (a car, a robot or a bird), its colour, where and when. Where it speaks
    of a walk, or the camera, that is led itself, and nobody is in the picture."""
    from haneul.errors import InputError

    if where == "terminal":
        in_terminal(prompt, seed, save)
        return
    if save is not None:
        raise InputError("--save goes with --terminal; in the browser a ride is saved to the library by a button")
    from haneul.backbones.layout import live_file
    from haneul.config import load_settings

    live_file(load_settings().weights or WEIGHTS)  # before a service is started for nothing
    room = "#/play" + (f"/{quote(prompt, safe='')}" if prompt else "")
    room += f"/{seed}" if prompt and seed is not None else ""
    opened(data, port=port, workers=1, browser=shown, room=room)


def in_terminal(prompt: str, seed: int | None, save: Path | None) -> None:
    """Plays until `q`. Raises InputError where there is no terminal, or what would be written cannot be."""
    from haneul.engine import check_names
    from haneul.errors import InputError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("a terminal is needed to play in; leave --terminal out to play in the browser")
    if sys.platform == "win32":
        raise InputError("this terminal cannot be read key by key; leave --terminal out to play in the browser")
    if save is not None:
        check_names(save, None, False)
    click.echo("imagining the first picture ...", err=True)
    import torch

    torch.set_num_threads(1)  # the player uses a thread for dreaming and one for painting
    from haneul.config import load_settings
    from haneul.play import Keys, Player, World

    world = World(prompt, seed=seed)
    screen = Screen()
    player = Player(world, screen.show)
    with raw():
        player.start()
        held: dict[str, float] = {}
        try:
            while not player.over:
                pressed = typed(0.02)
                if "quit" in pressed:
                    break
                now = time.monotonic()
                held |= dict.fromkeys(pressed, now)
                down = {name for name, at in held.items() if now - at < HELD}
                keys = Keys(float("right" in down) - float("left" in down), float("go" in down))
                if keys != player.keys:
                    player.keys = keys
        except KeyboardInterrupt:
            pass
        finally:
            player.stop()
    for warning in world.warnings:
        click.echo(f"note: {warning}", err=True)
    if player.failure is not None:
        raise player.failure
    if save is not None and world.seconds:
        torch.set_num_threads(load_settings().threads or os.cpu_count() or 1)
        with progress_display() as progress:
            click.echo(world.save(save, progress=progress).path)


def typed(wait: float) -> list[str]:
    """Meanings of the keys that came within so many seconds."""
    if not select.select([sys.stdin], [], [], wait)[0]:
        return []
    return list(meant(os.read(sys.stdin.fileno(), 1024).decode(errors="ignore")))


def meant(text: str) -> Iterator[str]:
    """What a piece of input says; what means nothing is left out."""
    while text:
        length = 3 if text[:3] in KEYS else 1
        if (name := KEYS.get(text[:length])) is not None:
            yield name
        text = text[length:]


@contextmanager
def raw() -> Iterator[None]:
    """The terminal without lines, echo and cursor, on a screen of its own; as it was at the end, whatever happens."""
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")
        sys.stdout.flush()
        yield
    finally:
        sys.stdout.write("\x1b[0m\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class Screen:
    """Draws pictures in a terminal, two pixels in each cell, and a line of figures below."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._times: list[float] = []
        self._turn = threading.Lock()

    def show(self, shown: Shown) -> None:
        size = os.get_terminal_size(sys.stdout.fileno())
        clear = "" if size == self._size else "\x1b[0m\x1b[2J"
        self._size = size
        now = time.monotonic()
        self._times = [*(at for at in self._times if now - at < 2), now]
        span = now - self._times[0]
        rate = (len(self._times) - 1) / span if span else 0.0
        figures = f" {rate:4.1f} pictures/s  {1000 * shown.delay:4.0f} ms  arrows or W A D, q quits"
        lines = cells(shown.picture, size.columns, size.lines - 1)
        body = "".join(f"\x1b[{row};1H{line}" for row, line in enumerate(lines, start=1))
        with self._turn:
            sys.stdout.write(f"{clear}{body}\x1b[0m\x1b[{len(lines) + 1};1H{figures[: size.columns - 1]}\x1b[K")
            sys.stdout.flush()


def cells(picture: NDArray[np.uint8], columns: int, lines: int) -> list[str]:
    """A picture as lines of half blocks in true colour, as large as it fits. Two pixels are one above the other."""
    import numpy as np
    from PIL import Image

    height, width = picture.shape[:2]
    wide = max(1, min(columns, 2 * lines * width // height))
    rows = max(1, min(lines, round(wide * height / width / 2)))
    small = np.asarray(Image.fromarray(picture).resize((wide, 2 * rows), Image.Resampling.BOX))
    made = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        parts, before = [], None
        for pair in zip(upper, lower, strict=True):
            if pair != before:  # what stays the same is not said again
                (r, g, b), (x, y, z) = before = pair
                parts.append(f"\x1b[38;2;{r};{g};{b};48;2;{x};{y};{z}m")
            parts.append(UPPER)
        made.append("".join(parts))
    return made
