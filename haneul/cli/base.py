"""The command line's door: the main group, errors as one line, option types, and the progress bar."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from haneul import __version__
from haneul.errors import HaneulError

if TYPE_CHECKING:
    from collections.abc import Callable

    ProgressCallback = Callable[[str, int, int], None]  # stage, done, total

PATH = click.Path(path_type=Path)
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"  #: that are bundled
_SPARSE_SECONDS = 10.0  # between progress lines where stderr is not a terminal


class Group(click.Group):
    """A group that turns exceptions into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except HaneulError as error:
            if debug:
                raise
            click.echo(f"error: {one_line(error)}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # the last door: a person gets a line, --debug the traceback
            if debug:
                raise
            click.echo(
                f"error: unexpected {type(error).__name__}: {one_line(error)}\n"
                f"this is a defect of Haneul; for the traceback run: haneul --debug {ctx.invoked_subcommand or ''} ...",
                err=True,
            )
            ctx.exit(1)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="haneul")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Haneul: text to video, signed and open to inspection."""


def run() -> NoReturn:
    """Entry point: `main`, with a polite end when asked to terminate (temporary files are removed)."""

    def terminate(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, terminate)
    main(prog_name="haneul")
    raise SystemExit(0)


class SizeType(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT such as 896x512, an aspect such as 21:9, or a name such as shorts."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        from haneul.video.sizes import size_named

        try:
            return size_named(str(value))
        except HaneulError as error:
            self.fail(one_line(error), param, ctx)


class DurationType(click.ParamType[float]):
    """Seconds, or a number with s, m or h, such as 30m."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip().lower()
        scale = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:])
        try:
            seconds = float(text[:-1]) * scale if scale else float(text)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < float("inf"):
            self.fail(f"{value!r} is not a time; write seconds, or a number with s, m or h, such as 30m", param, ctx)
        return seconds


SIZE = SizeType()
DURATION = DurationType()


@contextmanager
def progress_display(*, quiet: bool = False) -> Iterator[ProgressCallback | None]:
    """A callback `progress(stage, done, total)` for the library: a bar on a terminal, now and then a line elsewhere."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _sparse_lines()


@contextmanager
def _bar() -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield update


def _sparse_lines() -> ProgressCallback:
    said: dict[str, float] = {}  # stage -> when it was last spoken of

    def update(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - said.get(stage, float("-inf")) >= _SPARSE_SECONDS:
            click.echo(f"{stage}: {done}/{total}", err=True)
            said[stage] = now

    return update
