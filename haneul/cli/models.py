"""`haneul models`: the weights at hand, and what a checkpoint can do."""

from __future__ import annotations

from pathlib import Path

import click

from haneul.cli.base import SIZE, WEIGHTS, main, one_line


@main.group()
def models() -> None:
    """The weights at hand, and what a checkpoint can do."""


@models.command("list")
def models_list() -> None:
    """List the models that need no download: Haneul's own, the settings', and the open ones in the hub's cache."""
    from haneul.backbones.open.hub import cached
    from haneul.config import load_settings

    settings = load_settings()
    click.echo(f"haneul  {settings.weights or WEIGHTS}")
    for name, where in [(settings.model, "the settings"), *cached()]:
        if name:
            click.echo(f"{name}  {where}")


@models.command("show")
@click.argument("model", required=False)
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Of the video whose memory is estimated.")
@click.option("--size", type=SIZE, help="Of that video.  [default: what the checkpoint was made for]")
def models_show(model: str | None, seconds: float, size: tuple[int, int] | None) -> None:
    """Tell what MODEL, an open checkpoint (a folder or owner/name), can do: modes, lengths, terms, memory.

    Without MODEL, or of a folder of Haneul's own weights: what the files say about themselves.
    """
    from haneul.backbones.layout import is_exported, is_ours
    from haneul.config import load_settings

    if model is None:
        chosen = load_settings().weights
        _installed([WEIGHTS, *([chosen] if chosen else [])])
        return
    from haneul.backbones.open import card
    from haneul.backbones.open.hub import find, locate

    folder = locate(model)
    if is_exported(folder):
        click.echo(card.exported_text(folder))
    elif is_ours(folder):
        _installed([folder])
    else:
        click.echo(card.text(find(model), seconds=seconds, size=size))


def _installed(folders: list[Path]) -> None:
    import safetensors

    from haneul.model.checkpoint import file_digest

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
