"""`haneul train` and `haneul eval`."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from haneul.cli.base import DURATION, PATH, SIZE, WEIGHTS, main
from haneul.cli.world import KINDS

FOLDER_HELP = "Clips, latents, state, weights.  [default: train-nano in the cache folder]"
NEXT_HELP = "Share of batches that only go on: all but the last one to three latent frames are given."
STOPPING = 0.25  #: share of rides that stand still once or twice
STREAM_CLIPS = 1_000_000  #: of a stream at most; seeds of plans that follow one another begin so many apart
COOLDOWN_HELP = "Steps over which the learning rate falls to zero; the run then ends.  [default: it has no end]"


@main.group()
def train() -> None:
    """Train a model, each stage resumable."""


@train.command("nano")
@click.option("--budget", type=DURATION, default="1h", show_default=True, help="Time for the transformer.")
@click.option("--folder", type=PATH, help=FOLDER_HELP)
@click.option(
    "--clips", type=click.IntRange(min=64), default=17696, show_default=True, help="To render and learn from."
)
@click.option("--richness", type=float, help="Of the clips: 0 calm to 1 busy.  [default: what nano can follow]")
@click.option("--steered", type=float, default=0.0, show_default=True, help="Share of clips whose subject is steered.")
@click.option("--controls", type=click.FloatRange(0, 1), help="Share of clips whose camera, and whose action, is told.")
@click.option("--next", "next_share", type=click.FloatRange(0, 0.6), default=0.0, show_default=True, help=NEXT_HELP)
@click.option("--cooldown", type=int, nargs=2, metavar="FIRST LAST", help=COOLDOWN_HELP)
@click.option("--begin", type=PATH, help="Weights of a transformer to go on from instead of from nothing.")
@click.option("--concepts-budget", type=DURATION, default="10m", show_default=True, help="Time for reading prompts.")
@click.option("--codec-budget", type=DURATION, default="10m", show_default=True, help="Time for the codec.")
@click.option("--upscaler-budget", type=DURATION, default="10m", show_default=True, help="Time for the upscaler.")
@click.option(
    "--pairs",
    type=click.IntRange(min=50),
    default=2000,
    show_default=True,
    help="For the upscaler, and clips to remake.",
)
@click.option(
    "--stage",
    type=click.Choice(["world", "concepts", "codec", "latents", "upscaler", "dit", "export", "polish", "narrow"]),
    help="Only this.",
)
@click.option("--stream", is_flag=True, help="Make the clips while it trains; for a GPU, in minutes.")
@click.option("--seed", type=click.IntRange(0), default=3, show_default=True, help="Of a stream's clips.")
@click.option("--workers", type=click.IntRange(min=1), help="Of a stream: processes that simulate.  [default: cores-3]")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def train_nano(
    budget: float,
    folder: Path | None,
    clips: int,
    richness: float | None,
    steered: float,
    controls: float | None,
    next_share: float,
    cooldown: tuple[int, int] | None,
    begin: Path | None,
    concepts_budget: float,
    codec_budget: float,
    upscaler_budget: float,
    pairs: int,
    stage: str | None,
    stream: bool,
    seed: int,
    workers: int | None,
    device: str,
) -> None:
    """Train the bundled model from nothing: world, codec, latents, upscaler, transformer, export, and
    the upscaler once more on what the transformer gets wrong, and a small upscaler from that one.

    Run it again and it goes on where it stopped. The weights land in FOLDER/export; name that folder as
    folders.weights in the settings to use them.

    With --stream the transformer learns from clips that are simulated and drawn meanwhile, for two thirds of the
    budget; then a student learns its guidance, and one of four evaluations from that one. A whole model lands in
    FOLDER/student. With --begin, name another --seed, so that it sees clips that are new to it.
    """
    from haneul.config import load_settings
    from haneul.train import pipeline, recipes
    from haneul.world.produce import Plan
    from haneul.world.scene import CALM

    settings = load_settings()
    folders = pipeline.Folders(root=folder or settings.cache / "train-nano", weights=WEIGHTS)
    common: dict[str, Any] = {
        "latents": folders.latents, "codec": folders.codec, "text_encoder": folders.text_encoder, "device": device,
        "compile": recipes.can_compile(),
    }  # fmt: skip
    if controls is not None:
        common["keep_controls"] = controls
    say = functools.partial(click.echo, err=True)
    if stream:
        if stage or cooldown:
            raise click.UsageError("a stream is one stage, and the clock ends it; leave out --stage and --cooldown")
        common["stream"] = folders.stream
        endless = Plan(
            clips=STREAM_CLIPS, seed=seed, richness=CALM if richness is None else richness, steered=steered
        )  # fmt: skip
        guided = folders.root / "guided"
        found = pipeline.streamed(
            folders,
            recipes.going_on(
                recipes.streamed(**common, folder=folders.run, budget=budget * 0.65, begin=begin), next_share
            ),
            [
                recipes.guided(
                    **common, folder=guided, budget=budget * 0.15, begin=folders.export / "dit.safetensors"
                ),
                recipes.few_steps(
                    **common, folder=folders.root / "few", budget=budget * 0.2,
                    begin=guided / "export" / "dit.safetensors",
                ),
            ],
            endless,
            workers=workers or max(1, (os.cpu_count() or 4) - 3),
            say=say,
        )  # fmt: skip
        click.echo(str(found))
        return
    recipe = recipes.nano(**common, folder=folders.run, budget=budget, cooldown=cooldown, begin=begin)
    recipe = recipes.going_on(recipe, next_share)
    plan = Plan(clips=clips, seed=1, richness=CALM if richness is None else richness, steered=steered)
    run = pipeline.everything if stage is None else functools.partial(pipeline.run_stage, stage)
    run(
        folders,
        recipe,
        plan,
        concepts_budget=concepts_budget,
        codec_budget=codec_budget,
        upscaler_budget=upscaler_budget,
        pairs=pairs,
        say=say,
    )
    click.echo(str(folders.export))


@train.command("live")
@click.option("--budget", type=DURATION, default="1h", show_default=True, help="Of training.")
@click.option("--folder", type=PATH, help="Rides, latents, state, weights.  [default: train-live in the cache folder]")
@click.option("--rides", type=click.IntRange(min=32), default=512, show_default=True, help="Of 10 s, to learn from.")
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Repeat it.  [default: all]")
@click.option("--more", type=PATH, multiple=True, help="A folder of further rides of 10 s (haneul world render).")
@click.option("--begin", type=PATH, help="Weights to go on from (live.safetensors), if FOLDER holds none.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Of the processor.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def train_live(
    budget: float, folder: Path | None, rides: int, kinds: tuple[str, ...], more: tuple[Path, ...],
    begin: Path | None, batch: int, threads: int, device: str,
) -> None:  # fmt: skip
    """Train the model that `haneul play` plays, from nothing or from weights: rides of the world, latents, transformer,
    export.

    Run it again and it goes on where it stopped, with riders more if further kinds are named after those before, and
    rides of them are in one of the folders; rides that are in FOLDER stay as they were planned. FOLDER/export is then a
    folder of weights, the bundled ones and this one; name it as folders.weights in the settings to play.
    """
    from haneul.config import load_settings
    from haneul.train import live
    from haneul.train.recipes import can_compile
    from haneul.world.produce import RIDE_SIZES, Plan, planned, render_dataset
    from haneul.world.rides import RIDERS

    root = folder or load_settings().cache / "train-live"
    say = functools.partial(click.echo, err=True)
    plan = planned(
        root / "rides",
        Plan(
            clips=rides, seconds=10.0, sizes=RIDE_SIZES, rides=True, riders=kinds or tuple(RIDERS), stops=STOPPING
        ),
    )  # fmt: skip
    render_dataset(root / "rides", plan, progress=lambda done, total: say(f"live: rendered {done} of {total} rides"))
    recipe = live.LiveRecipe(
        data=root / "rides", folder=root / "run", budget=budget, batch=batch, device=device, compile=can_compile(),
        kinds=kinds or tuple(RIDERS), more=more, begin=begin, threads=threads,
    )  # fmt: skip
    live.train_live(recipe, say=say)
    shutil.copytree(WEIGHTS, root / "export", dirs_exist_ok=True)
    live.export(recipe, root / "export" / "live.safetensors")
    click.echo(str(root / "export"))


@train.command("distill")
@click.option("--budget", type=DURATION, default="1h", show_default=True, help="Time for training.")
@click.option("--folder", type=PATH, help=FOLDER_HELP)
@click.option("--teacher", type=PATH, help="Weights to learn from.  [default: those in FOLDER/export, or the bundled]")
@click.option("--steps", type=click.IntRange(1, 16), default=4, show_default=True, help="That the student takes.")
@click.option("--method", type=click.Choice(["solve", "bootstrap", "guide"]), default="solve", show_default=True)
@click.option("--cooldown", type=int, nargs=2, metavar="FIRST LAST", help=COOLDOWN_HELP)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def train_distill(
    budget: float,
    folder: Path | None,
    teacher: Path | None,
    steps: int,
    method: str,
    cooldown: tuple[int, int] | None,
    device: str,
) -> None:
    """Make a student that needs a few evaluations of the network where its teacher needs dozens.

    It learns on the latents that `haneul train nano` made; run it again and it goes on. The method is one of: solve
    (the teacher shows where each large step ends), bootstrap (it shows one small step, the student's own average the
    rest), guide (guidance alone is learned, for half of the price a step). A whole model lands in FOLDER/student; name
    that folder as folders.weights in the settings to use it.
    """
    from haneul.config import load_settings
    from haneul.train import pipeline, recipes
    from haneul.train.distill import distill

    root = folder or load_settings().cache / "train-nano"
    folders = pipeline.Folders(root=root, weights=WEIGHTS)
    own = folders.export / "dit.safetensors"
    recipe = recipes.distill(
        latents=folders.latents,
        folder=root / f"distill-{method}-{steps}",
        codec=folders.codec,
        text_encoder=folders.text_encoder,
        begin=teacher or (own if own.exists() else WEIGHTS / "dit.safetensors"),
        student_steps=steps,
        method=method,
        budget=budget,
        cooldown=cooldown,
        device=device,
        compile=recipes.can_compile(),
    )
    distill(recipe, functools.partial(click.echo, err=True))
    click.echo(str(pipeline.export_student(folders, recipe)))


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


@evaluate.command("card")
@click.argument("models", nargs=-1)
@click.option(
    "--part",
    "parts",
    multiple=True,
    help="Only this, of physics, obedience, looks, arrow and memory; may be repeated.  [default: all]",
)
@click.option("--setups", type=click.IntRange(min=1), default=16, show_default=True, help="Of each physical scene.")
@click.option("--prompts", type=click.IntRange(min=4), default=96, show_default=True, help="Clips from prompts alone.")
@click.option("--steps", type=int, help="Sampling steps.  [default: each model's]")
@click.option("--guidance", type=float, help="How strictly the prompt is followed.  [default: each model's]")
@click.option("--size", type=SIZE, default=(896, 512), help="Asked of models without a small size of their own.")
@click.option("--out", type=PATH, default="card.html", show_default=True, help="A page; its figures (.json) beside it.")
@click.option("--records", type=PATH, help="A table to which each model's figures are added, as docs/records.md.")
@click.option(
    "--trained", type=int, nargs=2, metavar="SEED CLIPS",
    help="The clips that our models were trained on, for memory.  [default: the weights' ledger]",
)  # fmt: skip
@click.option("--work", type=PATH, help="Where clips are kept.  [default: in the cache folder]")
@click.option("--reader", type=PATH, help="The attribute reader.  [default: the bundled one]")
def eval_card(
    models: tuple[str, ...], parts: tuple[str, ...], setups: int, prompts: int, steps: int | None,
    guidance: float | None, size: tuple[int, int], out: Path, records: Path | None, trained: tuple[int, int] | None,
    work: Path | None, reader: Path | None,
) -> None:  # fmt: skip
    """Grade MODELS side by side: what they know of physics, held against the simulator on the same set-ups; how they
    obey, how their clips look, whether time has a direction in them, and whether they copy what they were trained on.

    A model is a folder of our own weights, a folder or a name (owner/name) of an open checkpoint, or nano for the
    settings' own, which is the default; NAME=MODEL gives it a name on the card. Run again after an interruption, it
    goes on where it stopped.
    """
    import torch

    from haneul.backbones.native import BUNDLED
    from haneul.config import load_settings
    from haneul.evals.card import card
    from haneul.evals.card.memory import Trained
    from haneul.evals.card.models import Graded
    from haneul.world.produce import Plan

    settings = load_settings()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    folder = work or settings.cache / "eval"
    graded = [
        Graded(name=name, backbone=backbone, folder=folder / "clips", steps=steps, guidance=guidance, size=size)
        for name, backbone in (card.named(word, settings) for word in models or ("nano",))
    ]
    grading = card.Grading(
        models=graded, folder=folder, reader=reader or BUNDLED / "reader.safetensors", setups=setups, prompts=prompts,
        trained=(
            Trained(plans=(Plan(seed=trained[0], clips=trained[1]),))
            if trained
            else Trained.of(settings.weights or BUNDLED)
        ),
    )  # fmt: skip
    say = functools.partial(click.echo, err=True)
    result, shown = card.grade(grading, parts or tuple(card.PARTS), ["haneul", *sys.argv[1:]], say)
    click.echo(str(card.write(result, shown, out, records)))


@evaluate.command("trust")
@click.argument("parts", nargs=-1)
@click.option("--clips", type=click.IntRange(min=1), default=4, show_default=True, help="Of each source, attacked.")
@click.option("--keys", type=click.IntRange(min=1), default=20, show_default=True, help="Tried on every unmarked clip.")
@click.option("--unmarked", type=click.IntRange(min=0), default=24, show_default=True, help="Clips only for alarms.")
@click.option(
    "--split", "splits", multiple=True, type=click.Choice(["fitted", "held", "fresh"]),
    help="Of the red team's attacks (more than one: repeat it). Without it, all three.",
)  # fmt: skip
@click.option("--out", type=PATH, default="trust.json", show_default=True, help="JSON; a table (.md) is put beside it.")
@click.option("--work", type=PATH, help="Where clips are kept.  [default: in the cache folder]")
def eval_trust(
    parts: tuple[str, ...], clips: int, keys: int, unmarked: int, splits: tuple[str, ...], out: Path, work: Path | None
) -> None:  # fmt: skip
    """Measure the watermark, what verify says of tampered files, what the screen lets through, and what trust costs.

    PARTS are speed, quality, generated and rendered (attacks on clips of the model and of the world), sizes, alarms,
    tampering, screen (every cell of the red team, false refusals) and cost (what is added to a second of 1080p); all by
    default. What OUT holds of other parts stays.
    """
    from haneul.config import load_settings
    from haneul.evals import trust
    from haneul.evals.attacks import SPLITS

    say = functools.partial(click.echo, err=True)
    folder = work or load_settings().cache / "eval-trust"
    work_on = trust.Trust(folder=folder, clips=clips, keys=keys, unmarked=unmarked, splits=splits or SPLITS)
    result = trust.measure(work_on, parts or trust.PARTS, say)
    click.echo(trust.write(result, out).read_text(encoding="utf-8"))


@evaluate.command("play")
@click.argument("parts", nargs=-1)
@click.option("--weights", type=PATH, help="A folder of weights.  [default: the settings', or the bundled]")
@click.option("--scenes", type=click.IntRange(min=1), default=24, show_default=True, help="In which keys are held.")
@click.option("--out", type=PATH, default="play.json", show_default=True, help="The file to write, as JSON.")
def eval_play(parts: tuple[str, ...], weights: Path | None, scenes: int, out: Path) -> None:
    """Measure the live model: do its worlds obey keys, as the simulated world does, do they last, are they in time?

    PARTS are obedience, minute and time; all by default.
    """
    from haneul.backbones.live import Live
    from haneul.backbones.native import BUNDLED
    from haneul.config import load_settings
    from haneul.evals import play

    say = functools.partial(click.echo, err=True)
    live = Live(weights or load_settings().weights or BUNDLED)
    found = play.measure(live, parts or play.PARTS, say, scenes=scenes)
    out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    click.echo(str(out))


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
