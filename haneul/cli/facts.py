"""`haneul config` and `registry`: what is set, and what was made."""

from __future__ import annotations

from pathlib import Path

import click

from haneul.cli.base import PATH, main


@main.group()
def config() -> None:
    """The settings."""


@config.command("show")
def config_show() -> None:
    """Print the settings in force, in the form of the settings file, and where that file lies."""
    from haneul.config import config_path, load_settings, to_toml

    path = config_path()
    click.echo(f"# {path}" + ("" if path.exists() else " (does not exist: these are the defaults)"))
    click.echo(to_toml(load_settings()), nl=False)


@main.group()
def registry() -> None:
    """The records by which a file is found again through its watermark."""


@registry.command("add")
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.pass_context
def registry_add(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Register signed FILES of this installation anew, for example after the registry was lost.

    Exit code 11 if one of them is not signed by this installation, or carries no watermark.
    """
    from haneul.config import load_settings
    from haneul.trust import stamp

    settings = load_settings()
    ours = stamp.ready(settings)
    refused = False
    for file in files:
        reason = ours.register(file, settings)
        refused |= reason is not None
        click.echo(f"{file}: registered" if reason is None else f"{file}: {reason}", err=reason is not None)
    if refused:
        ctx.exit(11)
