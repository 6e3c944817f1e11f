"""`haneul train` and `haneul eval`."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import click

from haneul.cli.base import DURATION, PATH, WEIGHTS, main


@main.command()
@click.argument("preset", type=click.Choice(["nano"]))
@click.option("--budget", type=DURATION, default="1h", show_default=True, help="Time for the transformer.")
@click.option(
    "--folder", type=PATH, help="Clips, latents, state, weights.  [default: train-PRESET in the cache folder]"
)
@click.option(
    "--clips", type=click.IntRange(min=64), default=17696, show_default=True, help="To render and learn from."
)
@click.option("--richness", type=float, help="Of the clips: 0 calm to 1 busy.  [default: what nano can follow]")
@click.option(
    "--cooldown",
    type=int,
    nargs=2,
    metavar="FIRST LAST",
    help="Steps over which the learning rate falls to zero; the run then ends.  [default: it has no end]",
)
@click.option("--concepts-budget", type=DURATION, default="10m", show_default=True, help="Time for reading prompts.")
@click.option("--codec-budget", type=DURATION, default="10m", show_default=True, help="Time for the codec.")
@click.option("--upscaler-budget", type=DURATION, default="10m", show_default=True, help="Time for the upscaler.")
@click.option("--pairs", type=click.IntRange(min=50), default=2000, show_default=True, help="For the upscaler.")
@click.option(
    "--stage",
    type=click.Choice(["world", "concepts", "codec", "latents", "upscaler", "dit", "export"]),
    help="Only this.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def train(
    preset: str,
    budget: float,
    folder: Path | None,
    clips: int,
    richness: float | None,
    cooldown: tuple[int, int] | None,
    concepts_budget: float,
    codec_budget: float,
    upscaler_budget: float,
    pairs: int,
    stage: str | None,
    device: str,
) -> None:
    """Train a model of size PRESET from nothing: world, codec, latents, upscaler, transformer, export.

    Run it again and it goes on where it stopped. The weights land in FOLDER/export; name that folder as
    folders.weights in the settings to use them.
    """
    from haneul.config import load_settings
    from haneul.train import pipeline, recipes
    from haneul.world.produce import Plan
    from haneul.world.scene import CALM

    settings = load_settings()
    folders = pipeline.Folders(root=folder or settings.cache / f"train-{preset}", weights=WEIGHTS)
    recipe = getattr(recipes, preset)(
        latents=folders.latents,
        folder=folders.run,
        codec=folders.codec,
        text_encoder=folders.text_encoder,
        budget=budget,
        cooldown=cooldown,
        device=device,
        compile=recipes.can_compile(),
    )
    plan = Plan(clips=clips, seed=1, richness=CALM if richness is None else richness)
    run = pipeline.everything if stage is None else functools.partial(pipeline.run_stage, stage)
    run(
        folders,
        recipe,
        plan,
        concepts_budget=concepts_budget,
        codec_budget=codec_budget,
        upscaler_budget=upscaler_budget,
        pairs=pairs,
        say=functools.partial(click.echo, err=True),
    )
    click.echo(str(folders.export))


@main.group("eval")
def evaluate() -> None:
    """Measure what the model reaches."""


@evaluate.command("report")
@click.argument("measures", nargs=-1)
@click.option("--clips", type=click.IntRange(min=4), default=500, show_default=True, help="How many are generated.")
@click.option("--korean", type=click.IntRange(min=1), help="How many of them also in Korean.  [default: all]")
@click.option("--steps", type=int, help="Sampling steps.  [default: the model's]")
@click.option("--guidance", type=float, help="How strictly the prompt is followed.  [default: the model's]")
@click.option("--expand/--no-expand", default=True, show_default=True, help="Fill in what prompts leave open.")
@click.option(
    "--out", type=PATH, default="report.json", show_default=True, help="JSON; a table (.md) is put beside it."
)
@click.option("--work", type=PATH, help="Where clips and results are kept.  [default: in the cache folder]")
@click.option("--reader", type=PATH, help="The attribute reader.  [default: the bundled one]")
@click.option("--pairs", type=PATH, help="The upscaler's training pairs, to measure it on those that it never saw.")
@click.option("--fresh", is_flag=True, help="Measure again what is kept already.")
def eval_report(
    measures: tuple[str, ...], out: Path, work: Path | None, reader: Path | None, fresh: bool, **given: Any
) -> None:
    """Run MEASURES (speed, reader, following, fidelity, modes, physics; all by default) and write a report.

    Run again after an interruption, it goes on where it stopped.
    """
    from haneul.backbones.native import BUNDLED
    from haneul.config import load_settings
    from haneul.evals import report
    from haneul.evals.clips import Work

    settings = load_settings()
    todo = Work(
        folder=work or settings.cache / "eval", weights=settings.weights or BUNDLED,
        reader=reader or BUNDLED / "reader.safetensors", threads=settings.threads, **given,
    )  # fmt: skip
    command = ["haneul", *sys.argv[1:]]
    result = report.report(
        todo, measures or report.MEASURES, command, functools.partial(click.echo, err=True), fresh=fresh
    )
    table = report.write(result, out)
    click.echo(table.read_text(encoding="utf-8"))


@evaluate.command("train-reader")
@click.argument("data", type=PATH, nargs=-1, required=True)
@click.option("--budget", type=DURATION, default="10m", show_default=True, help="Stop after this time.")
@click.option("-o", "--output", type=PATH, default="reader.safetensors", show_default=True, help="The file to write.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
def eval_train_reader(data: tuple[Path, ...], budget: float, output: Path, device: str, threads: int) -> None:
    """Train the attribute reader on the rendered clips in DATA folders (haneul world render).

    Run again, it goes on from the file that it wrote.
    """
    from haneul.evals.training import ReaderRecipe, train_reader

    recipe = ReaderRecipe(data=data, output=output, budget=budget, device=device, threads=threads)
    train_reader(recipe, click.echo)
