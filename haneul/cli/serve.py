"""`haneul serve`, `worker` and `keys`: the service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from haneul.cli.base import DURATION, PATH, main

if TYPE_CHECKING:
    from haneul.serve.config import ServeConfig
    from haneul.serve.keys import Keys


DATA = click.option("--data", type=PATH, help="Folder of jobs and videos.  [default: in the data folder]")
JOBS = click.option(
    "--jobs",
    metavar="URL",
    help="PostgreSQL for jobs of many machines: postgresql://user@host/name.  [default: a file]",
)

STORE = click.option(
    "--store", metavar="DIR|URL", help="Where videos lie: s3://bucket/prefix?endpoint=...  [default: in the folder]"
)


def _check_installed() -> None:
    """The service's libraries are an extra, so they may be missing."""
    import importlib.util

    from haneul.errors import InputError

    for module in ("fastapi", "httpcore2", "prometheus_client", "python_multipart", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            raise InputError(f"{module} is not installed; run: pip install 'haneul[serve]'")


def _folder(data: Path | None) -> Path:
    from haneul.config import load_settings

    return (data or load_settings().data / "serve").expanduser().absolute()


def _config(data: Path | None, **given: Any) -> ServeConfig:
    from haneul.serve.config import ServeConfig

    return ServeConfig(data=_folder(data), **{name: value for name, value in given.items() if value is not None})


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; others than loopback need keys.")
@click.option("--port", type=int, default=8000, show_default=True, help="0: any free one.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes that make videos.")
@click.option("--standby/--no-standby", default=True, help="Whether a second API process waits, should one die.")
@click.option("--model", metavar="FOLDER|NAME", help="An open checkpoint that videos are made with.")
@click.option("--steps", type=int, help="Sampling steps where a request names none.  [default: the model's]")
@click.option("--worlds", type=int, help="Worlds that are played at once.  [default: 1]")
@click.option("--world-idle", type=DURATION, hidden=True)
@click.option("--require-key", is_flag=True, help="Ask for keys on a loopback address too.")
@click.option("--origin", "origins", multiple=True, metavar="URL", help="Web pages that may call. Repeat it.")
@click.option(
    "--trust-host", "trusted_hosts", multiple=True, metavar="HOST[:PORT]",
    help="A private host that references and webhooks may name. Repeat it.",
)  # fmt: skip
@click.option("--retention", type=DURATION, help="How long videos are kept.  [default: 168h]")
@click.option("--grace", type=DURATION, help="For what runs when asked to stop.  [default: 30s]")
@click.option("--lease", type=DURATION, hidden=True)
@click.option("--queue-limit", type=int, help="Jobs that may wait.  [default: 1000]")
@JOBS
@STORE
@DATA
def serve(**options: Any) -> None:
    """Serve OpenAI's videos API and more; the description is at /docs."""
    _check_installed()
    from haneul.config import load_settings
    from haneul.serve import logs, supervise

    config = _config(**options)
    if config.model:
        from haneul.engine import backbone_of

        backbone_of(config.model, load_settings())  # refused here, and not by workers that start again and again
    logs.set_up("supervisor")
    listening = supervise.listen(config)
    host, port = listening.getsockname()[:2]
    click.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1")
    supervise.Supervisor(config, listening).run()


@main.command()
@click.option("--model", metavar="FOLDER|NAME", help="An open checkpoint that videos are made with.")
@click.option("--steps", type=int, help="Sampling steps where a request names none.  [default: the model's]")
@click.option("--threads", type=int, help="Processor threads.  [default: the settings']")
@click.option("--retention", type=DURATION, help="How long videos are kept, as the service has it.  [default: 168h]")
@click.option("--grace", type=DURATION, help="For what runs when asked to stop.  [default: 30s]")
@click.option("--lease", type=DURATION, hidden=True)
@JOBS
@STORE
@DATA
def worker(threads: int | None, **options: Any) -> None:
    """Make the videos that a service has accepted: one of this machine, or any with the same --jobs."""
    _check_installed()
    from haneul.serve import logs
    from haneul.serve import worker as work

    logs.set_up("worker")
    work.run(_config(**options), threads=threads)


@main.group()
def keys() -> None:
    """Keys to the service."""


def _keys(data: Path | None, jobs: str | None) -> Keys:
    from haneul.serve.engines import database_of
    from haneul.serve.keys import Keys

    return Keys(database_of(_config(data, jobs=jobs)))


@keys.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="read, write or admin. Repeat it.  [default: read and write]")
@click.option("--waiting", type=click.IntRange(min=1), help="Jobs that may wait at once.")
@click.option("--per-minute", "requests_per_minute", type=click.IntRange(min=1), help="Videos asked for in a minute.")
@click.option(
    "--seconds-per-day", type=click.FloatRange(min=0, min_open=True), help="Seconds of video asked for in a day."
)
@click.option("--storage", type=click.IntRange(min=1), help="MiB of videos that are kept.")
@click.option("--retention", type=DURATION, help="How long its videos and files are kept.  [default: as all others]")
@JOBS
@DATA
def keys_create(
    name: str, scopes: tuple[str, ...], storage: int | None, data: Path | None, jobs: str | None, **limits: Any
) -> None:
    """Make a key for NAME and print it: it cannot be seen again."""
    from haneul.serve.jobs import Limits

    allowed = Limits(storage=None if storage is None else storage * 2**20, **limits)
    click.echo(_keys(data, jobs).create(name, scopes or ("read", "write"), allowed))


@keys.command("list")
@JOBS
@DATA
def keys_list(data: Path | None, jobs: str | None) -> None:
    """List the keys."""
    for key in _keys(data, jobs).all():
        made = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d")
        state = "revoked" if key.revoked_at else " ".join(key.scopes)
        click.echo(f"{key.id}  {made}  {state:<16}  {key.name}")


@keys.command("revoke")
@click.argument("key")
@JOBS
@DATA
def keys_revoke(key: str, data: Path | None, jobs: str | None) -> None:
    """KEY (its id, see list) opens nothing from now on."""
    _keys(data, jobs).revoke(key)


@keys.command("rotate")
@click.argument("key")
@click.option("--keep", type=DURATION, default=None, help="How long the old secret opens still.  [default: not at all]")
@JOBS
@DATA
def keys_rotate(key: str, keep: float | None, data: Path | None, jobs: str | None) -> None:
    """Make a new secret for KEY (its id, see list) and print it."""
    click.echo(_keys(data, jobs).rotate(key, keep=keep or 0.0))
