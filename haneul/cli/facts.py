"""`haneul config` and `haneul models`: what is set and what is installed."""

from __future__ import annotations

import click

from haneul.cli.base import WEIGHTS, main, one_line


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
def models() -> None:
    """The weights at hand."""


@models.command("show")
def models_show() -> None:
    """List the weights that are installed, with what their files say about themselves."""
    import safetensors

    from haneul.config import load_settings
    from haneul.model.checkpoint import file_digest

    chosen = load_settings().weights
    folders = [WEIGHTS, *([chosen] if chosen else [])]
    files = [file for folder in folders for file in sorted(folder.glob("*.safetensors"))]
    if not files:
        click.echo("no weights are installed in " + " or ".join(str(folder) for folder in folders), err=True)
    for file in files:
        click.echo(f"{file.stem}: {file.stat().st_size / 2**20:.1f} MiB, sha256 {file_digest(file)}\n  {file}")
        try:
            with safetensors.safe_open(file, framework="numpy") as tensors:
                metadata = tensors.metadata() or {}
        except safetensors.SafetensorError as error:
            click.echo(f"  damaged: {one_line(error)}", err=True)
            continue
        for key, value in sorted(metadata.items()):
            click.echo(f"  {key}: {value if len(value) <= 200 else value[:197] + '...'}")
