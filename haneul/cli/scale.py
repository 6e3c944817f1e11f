"""`haneul train plan`, `sharded` and `fit`: what training on many GPUs takes, doing it, and what more would give."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import click

from haneul.cli.base import DURATION, PATH, WEIGHTS
from haneul.cli.training import COOLDOWN_HELP, FOLDER_HELP, train

SIZES = click.Choice(["nano", "mini", "base", "large"])


@train.command("plan")
@click.argument("size", type=SIZES)
@click.option("--gpus", type=click.IntRange(min=1), required=True, help="How many.")
@click.option("--gpu", type=click.Choice(["h100", "h200", "a100"]), default="h100", show_default=True, help="Which.")
@click.option("--hours", type=float, help="Of all stages together.  [default: what --per-parameter takes]")
@click.option("--per-parameter", type=float, default=20.0, show_default=True, help="Tokens for each parameter.")
@click.option("--mfu", type=float, default=0.4, show_default=True, help="Share of the GPU's rate in the transformer.")
@click.option("--mfu-convolutions", type=float, default=0.2, show_default=True, help="The same in codec and upscaler.")
@click.option("--codec", type=float, default=0.25, show_default=True, help="Windows for each clip of the transformer.")
@click.option("--upscaler", type=float, default=0.25, show_default=True, help="Crops, likewise.")
@click.option("--distill", type=float, default=0.05, show_default=True, help="Clips, likewise.")
@click.option("--price", type=float, help="Of a GPU hour, in any currency.")
@click.option("--clips", type=click.IntRange(min=1), default=1, show_default=True, help="At once to --context GPUs.")
@click.option("--context", type=click.IntRange(min=1), default=1, show_default=True, help="GPUs that share a clip.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def train_plan(as_json: bool, **given: Any) -> None:
    """Reckon what a SIZE takes to train: operations, memory, hours, cost.

    Operations and memory are counted on the model without weights; how much of the GPU's rate is reached, how much each
    stage sees and what an hour costs are assumptions, which the table repeats.
    """
    from haneul.train import plan

    found = plan.plan(plan.Wish(**given))
    click.echo(json.dumps(found.as_json(), indent=1) if as_json else plan.table(found), nl=as_json)


@train.command("sharded")
@click.argument("size", type=SIZES)
@click.option("--folder", type=PATH, help=FOLDER_HELP)
@click.option("--budget", type=DURATION, default="1h", show_default=True, help="Time for this call.")
@click.option("--tokens", type=click.IntRange(min=1), default=4480, show_default=True, help="Of all processes, a step.")
@click.option("--learning-rate", type=float, help="[default: by the size]")
@click.option("--cooldown", type=int, nargs=2, metavar="FIRST LAST", help=COOLDOWN_HELP)
@click.option("--begin", type=PATH, help="Weights of a transformer to go on from instead of from nothing.")
@click.option(
    "--context", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that share a clip."
)
@click.option("--recompute", is_flag=True, help="Keep less for the backward pass, for a third more work.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
def train_sharded(
    size: str,
    folder: Path | None,
    budget: float,
    tokens: int,
    learning_rate: float | None,
    cooldown: tuple[int, int] | None,
    begin: Path | None,
    context: int,
    recompute: bool,
    device: str,
) -> None:
    """Train the transformer of a SIZE on the latents in FOLDER by many processes, which torchrun starts:

    torchrun --nproc-per-node 8 -m haneul train sharded mini --folder FOLDER

    Run again, on as many processes or others, it goes on where it stopped. At the end the weights lie in FOLDER/export,
    and the whole state in FOLDER/run as one process keeps it.
    """
    from haneul.config import load_settings
    from haneul.model.concepts import sizes_of
    from haneul.model.presets import preset
    from haneul.train import pipeline, recipes, sharded
    from haneul.world.concepts import SLOTS

    with sharded.processes(device):
        folders = pipeline.Folders(root=folder or load_settings().cache / f"train-{size}", weights=WEIGHTS)
        shape = preset(size, sizes_of(SLOTS))
        changes: dict[str, Any] = {} if learning_rate is None else {"learning_rate": learning_rate}
        changes |= {
            "latents": folders.latents, "folder": folders.run, "codec": folders.codec,
            "text_encoder": folders.text_encoder, "begin": begin, "budget": budget, "tokens": tokens,
            "cooldown": cooldown, "device": device, "threads": 1 if device == "cpu" else 2,
            "compile": recipes.can_compile() and device != "cpu",
        }  # fmt: skip
        if size == "nano":
            recipe = recipes.nano(**changes)
        else:
            own: dict[str, Any] = {"preset": shape, "optimiser": "muon", "learning_rate": shape.learning_rate}
            recipe = recipes.Recipe(**own | changes)
        how = sharded.Sharding(context=context, recompute=recompute)
        run = sharded.train(recipe, how, functools.partial(click.echo, err=True))
        if run.rank == 0:
            click.echo(str(pipeline.export(folders, recipe)))


@train.command("fit")
@click.argument("logs", nargs=-1, required=True, metavar="SIZE=LOG...")
@click.option("--frames", type=click.IntRange(min=1), default=13, show_default=True, help="Latent frames of the clips.")
@click.option("--skip", type=click.IntRange(min=0), default=200, show_default=True, help="Steps at the start left out.")
@click.option("--last", type=click.IntRange(min=1), help="The last step that counts, such as that before a cool-down.")
@click.option(
    "--at", type=float, multiple=True, help="Operations to foretell the loss for; may be given more than once."
)
def train_fit(logs: tuple[str, ...], frames: int, skip: int, last: int | None, at: tuple[float, ...]) -> None:
    """Fit L = a + b C^-c to the losses of trainings, against the operations spent, with 95% intervals.

    LOG is the log.jsonl of a run, SIZE what was trained, such as nano=train-nano/run/log.jsonl. Of several logs the
    lowest loss at each amount of operations counts. A step is forward and backward, as haneul train plan counts it.
    """
    from haneul.errors import InputError
    from haneul.model.concepts import sizes_of
    from haneul.model.presets import preset
    from haneul.train import counts, fits
    from haneul.world.concepts import SLOTS

    curves = []
    for given in logs:
        size, _, path = given.partition("=")
        if size not in SIZES.choices or not path:
            raise InputError(f"{given} is not of the form SIZE=LOG; the sizes are {', '.join(SIZES.choices)}")
        shape = preset(size, sizes_of(SLOTS))
        flops = functools.cache(lambda n, shape=shape: float(counts.transformer_flops(shape, n).total))
        log = {step: line for step, line in fits.read_log(Path(path)).items() if last is None or step <= last}
        curves.append(fits.curve(log, flops, frames, skip=skip))
    click.echo(fits.report(fits.fit(fits.lowest(curves)), at), nl=False)
