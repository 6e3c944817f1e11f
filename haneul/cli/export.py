"""`haneul export`: our own model in the layout of diffusers."""

from __future__ import annotations

from pathlib import Path

import click

from haneul.cli.base import PATH, main


@main.command()
@click.argument("folder", type=PATH)
@click.option("--weights", type=PATH, metavar="FOLDER", help="The model.  [default: the settings', or the bundled one]")
@click.option("--half", is_flag=True, help="As float16: half the size, and no longer bit for bit the same.")
def export(folder: Path, weights: Path | None, half: bool) -> None:
    """Write Haneul's own model into FOLDER in the layout of diffusers: safetensors, configurations, a model card.

    `haneul generate --model FOLDER` makes the same frames of it. Its README.md says what other tools load of it.
    """
    from haneul.backbones.exported import write
    from haneul.backbones.layout import weight_files
    from haneul.backbones.native import BUNDLED, Native
    from haneul.config import load_settings

    write(Native(weights or load_settings().weights or BUNDLED), folder, half=half)
    size = sum(path.stat().st_size for path in weight_files(folder)) / 2**20
    click.echo(f"{folder} ({size:.1f} MiB of weights)")
