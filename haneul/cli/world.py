"""`haneul world`: the simulated world that the model learns from."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import click

from haneul.cli.base import PATH, SIZE, main, progress_display

KINDS = ["car", "robot", "bird", "camera"]  #: rides.RIDERS, without its imports
STOPS_HELP = "Share of rides that stand still once or twice."
RIDERS_HELP = "Of rides; repeat it, and they come in turns.  [default: a car, robot or bird, drawn]"


@main.group()
def world() -> None:
    """The simulated world that the model learns from."""


@world.command("render")
@click.argument("folder", type=PATH)
@click.option("--clips", type=int, default=1000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--richness", type=float, help="0 calm to 1 busy.  [default: what the smallest model can follow]")
@click.option("--seconds", type=float, default=4.0, show_default=True)
@click.option("--size", type=SIZE, multiple=True, help="Repeat it for several.  [default: a mix of formats]")
@click.option("--held-out", is_flag=True, help="Only combinations that training never sees, for evaluation.")
@click.option("--steered", type=float, default=0.0, show_default=True, help="Share of clips whose subject is steered.")
@click.option("--rides", is_flag=True, help="Rides of 112x64, as somebody who plays sees them, instead of the clips.")
@click.option("--rider", "riders", type=click.Choice(KINDS), multiple=True, help=RIDERS_HELP)
@click.option("--stops", type=float, default=0.0, show_default=True, help=STOPS_HELP)
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def world_render(
    folder: Path,
    clips: int,
    seed: int,
    richness: float | None,
    seconds: float,
    size: tuple[tuple[int, int], ...],
    held_out: bool,
    steered: float,
    rides: bool,
    riders: tuple[str, ...],
    stops: float,
    workers: int | None,
    quiet: bool,
) -> None:
    """Render training clips into FOLDER; run again, it goes on where it stopped."""
    from haneul.world.produce import RIDE_SIZES, SIZES, Plan, render_dataset
    from haneul.world.scene import CALM

    richness = CALM if richness is None else richness
    plan = Plan(
        clips=clips, seed=seed, richness=richness, seconds=seconds, held_out=held_out,
        sizes=size or (RIDE_SIZES if rides else SIZES), steered=steered, rides=rides, riders=riders, stops=stops,
    )  # fmt: skip
    with progress_display(quiet=quiet) as update:
        progress = None if update is None else functools.partial(update, "rendering")
        manifest = render_dataset(folder, plan, workers=workers, progress=progress)
    click.echo(json.dumps(manifest, ensure_ascii=False))


@world.command("show")
@click.argument("prompt")
@click.option("-o", "--output", type=PATH, default="world.mp4", show_default=True, help="The file to write.")
@click.option("--size", type=SIZE, default="448x256", show_default=True)
@click.option("--seconds", type=float, default=4.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def world_show(
    prompt: str, output: Path, size: tuple[int, int], seconds: float, seed: int, overwrite: bool, quiet: bool
) -> None:
    """Render PROMPT by simulation, if the world's grammar can read it."""
    from haneul.world import produce

    with progress_display(quiet=quiet) as update:
        progress = None if update is None else functools.partial(update, "rendering")
        warnings = produce.show(
            prompt, output, size=size, seconds=seconds, seed=seed, overwrite=overwrite, progress=progress
        )
    if not quiet:
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(str(output))


@world.command("prove")
@click.option("--clips", type=click.IntRange(min=1), default=3, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which.")
@click.option("--weights", type=PATH, help="A folder of weights.  [default: the settings', or the bundled]")
def world_prove(clips: int, seed: int, weights: Path | None) -> None:
    """Make clips again that the model learned from, and compare them with the ledger that its card names.

    Exits with 1 where one is not the same, byte for byte.
    """
    from haneul.backbones.native import BUNDLED
    from haneul.config import load_settings
    from haneul.data.prove import prove

    wrong = 0
    for found in prove(weights or load_settings().weights or BUNDLED, clips=clips, seed=seed):
        wrong += not found.same
        click.echo(f"{'same' if found.same else 'DIFFERENT'}  seed {found.seed}: {found.event}, {found.setting}")
    if wrong:
        click.echo(
            "A clip that differs need not be another one: where things bounce, flutter or float, the last bits of a "
            "processor's arithmetic can decide.",
            err=True,
        )
        raise click.exceptions.Exit(1)
