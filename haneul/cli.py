"""The command line. Each command only reads its options, calls the library, and says what came of it.

What the library needs (torch, numba, MuJoCo) is imported inside the commands, so that `haneul --help` is immediate.
Results go to stdout, everything else to stderr. Exit codes: those of `haneul.errors`; 10 and 11 from `verify`; 130
when interrupted.
"""

from __future__ import annotations

import functools
import json
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

_PATH = click.Path(path_type=Path)
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
            click.echo(f"error: {_one_line(error)}", err=True)
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
                f"error: unexpected {type(error).__name__}: {_one_line(error)}\n"
                f"this is a defect of Haneul; for the traceback run: haneul --debug {ctx.invoked_subcommand or ''} ...",
                err=True,
            )
            ctx.exit(1)


def _one_line(error: BaseException) -> str:
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


# ------------------------------------------------------------------------------------------------------- options


class SizeType(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT, such as 896x512."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, cross, height = str(value).lower().replace("×", "x").partition("x")
        if not (cross and width.strip().isdecimal() and height.strip().isdecimal()):
            self.fail(f"{value!r} is not a size; write width x height, such as 896x512", param, ctx)
        return int(width), int(height)


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


# ------------------------------------------------------------------------------------------------------ generate


@main.command()
@click.argument("prompt")
@click.option("-o", "--output", type=_PATH, default="out.mp4", show_default=True, help="The file to write.")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length.")
@click.option("--size", type=SIZE, default="896x512", show_default=True, help="Width and height.")
@click.option("--seed", type=int, help="The same seed gives the same video.  [default: drawn, and reported]")
@click.option("--steps", type=int, help="Sampling steps.  [default: the model's]")
@click.option("--guidance", type=float, help="How strictly the prompt is followed.  [default: the model's]")
@click.option("--negative", default="", metavar="TEXT", help="What should not be seen.")
@click.option("--preview", type=_PATH, metavar="PNG", help="Also write a strip of frames.")
@click.option(
    "--report",
    type=str,
    is_flag=False,
    flag_value="",
    metavar="[JSON]",
    help="Also write what was done, beside the video unless a file is named.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def generate(
    prompt: str,
    output: Path,
    seconds: float,
    size: tuple[int, int],
    seed: int | None,
    steps: int | None,
    guidance: float | None,
    negative: str,
    preview: Path | None,
    report: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Make a video from PROMPT and sign it."""
    from haneul.video.io import atomic_output, check_output

    report_path = None if report is None else Path(report) if report else output.with_suffix(".json")
    for path in (output, preview, report_path):
        if path is not None:
            check_output(path, overwrite=overwrite)  # before torch is even loaded
    from haneul import engine

    with progress_display(quiet=quiet) as progress:
        result = engine.generate(
            prompt,
            seconds=seconds,
            size=size,
            seed=seed,
            steps=steps,
            guidance=guidance,
            negative=negative,
            output=output,
            overwrite=overwrite,
            preview=preview,
            progress=progress,
        )
    if report_path is not None:
        with atomic_output(report_path, overwrite=overwrite) as unfinished:
            unfinished.write_text(json.dumps(result.report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if not quiet:
        if understood := result.report["understood"]:
            told = ", ".join(f"{slot} {found['value']}" for slot, found in understood.items())
            click.echo(f"understood: {told}", err=True)
        for warning in result.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{result.path} (seed {result.seed})")


# -------------------------------------------------------------------------------------------------------- verify


@main.command()
@click.argument("file", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.pass_context
def verify(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Tell what FILE is, who signed it, and whether it was changed.

    Exit code 0: signed and unchanged; 10: not signed; 11: changed, or the signature does not count.
    """
    from haneul.trust.credentials import verify as read_credentials

    verdict = read_credentials(file)
    click.echo(json.dumps(verdict.to_json(), ensure_ascii=False, indent=2) if as_json else verdict.text())
    ctx.exit(verdict.exit_code)


# --------------------------------------------------------------------------------------------------------- world


@main.group()
def world() -> None:
    """The simulated world that the model learns from."""


@world.command("render")
@click.argument("folder", type=_PATH)
@click.option("--clips", type=int, default=1000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--richness", type=float, default=0.3, show_default=True, help="0 calm to 1 busy.")
@click.option("--seconds", type=float, default=4.0, show_default=True)
@click.option("--size", type=SIZE, multiple=True, help="Repeat it for several.  [default: a mix of formats]")
@click.option("--held-out", is_flag=True, help="Only combinations that training never sees, for evaluation.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def world_render(
    folder: Path,
    clips: int,
    seed: int,
    richness: float,
    seconds: float,
    size: tuple[tuple[int, int], ...],
    held_out: bool,
    workers: int | None,
    quiet: bool,
) -> None:
    """Render training clips into FOLDER; run again, it goes on where it stopped."""
    from haneul.world.produce import SIZES, Plan, render_dataset

    plan = Plan(clips=clips, seed=seed, richness=richness, seconds=seconds, held_out=held_out, sizes=size or SIZES)
    with progress_display(quiet=quiet) as update:
        progress = None if update is None else functools.partial(update, "rendering")
        manifest = render_dataset(folder, plan, workers=workers, progress=progress)
    click.echo(json.dumps(manifest, ensure_ascii=False))


@world.command("show")
@click.argument("prompt")
@click.option("-o", "--output", type=_PATH, default="world.mp4", show_default=True, help="The file to write.")
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


# --------------------------------------------------------------------------------------------------------- train


@main.command()
@click.argument("preset", type=click.Choice(["nano"]))
@click.option("--budget", type=DURATION, default="1h", show_default=True, help="Time for the transformer.")
@click.option(
    "--folder", type=_PATH, help="Clips, latents, state, weights.  [default: train-PRESET in the cache folder]"
)
@click.option(
    "--clips", type=click.IntRange(min=64), default=12000, show_default=True, help="To render and learn from."
)
@click.option("--richness", type=float, default=0.15, show_default=True, help="Of the clips: 0 calm to 1 busy.")
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
    richness: float,
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

    settings = load_settings()
    folders = pipeline.Folders(
        root=folder or settings.cache / f"train-{preset}", weights=Path(__file__).parent / "weights"
    )
    recipe = getattr(recipes, preset)(
        latents=folders.latents,
        folder=folders.run,
        codec=folders.codec,
        text_encoder=folders.text_encoder,
        budget=budget,
        device=device,
        compile=recipes.can_compile(),
    )
    plan = Plan(clips=clips, seed=1, richness=richness)
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


# ------------------------------------------------------------------------------------------------------- evaluate


@main.group("eval")
def evaluate() -> None:
    """Measure what the model reaches."""


@evaluate.command("report")
@click.argument("measures", nargs=-1)
@click.option("--clips", type=click.IntRange(min=4), default=500, show_default=True, help="How many are generated.")
@click.option("--korean", type=click.IntRange(min=1), help="How many of them also in Korean.  [default: all]")
@click.option("--steps", type=int, help="Sampling steps.  [default: the model's]")
@click.option("--guidance", type=float, help="How strictly the prompt is followed.  [default: the model's]")
@click.option(
    "--out", type=_PATH, default="report.json", show_default=True, help="JSON; a table (.md) is put beside it."
)
@click.option("--work", type=_PATH, help="Where clips and results are kept.  [default: in the cache folder]")
@click.option("--reader", type=_PATH, help="The attribute reader.  [default: the bundled one]")
@click.option("--pairs", type=_PATH, help="The upscaler's training pairs, to measure it on those that it never saw.")
@click.option("--fresh", is_flag=True, help="Measure again what is kept already.")
def eval_report(
    measures: tuple[str, ...], out: Path, work: Path | None, reader: Path | None, fresh: bool, **given: Any
) -> None:
    """Run MEASURES (speed, reader, following, fidelity, physics; all by default) and write a report.

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
@click.argument("data", type=_PATH, nargs=-1, required=True)
@click.option("--budget", type=DURATION, default="10m", show_default=True, help="Stop after this time.")
@click.option("-o", "--output", type=_PATH, default="reader.safetensors", show_default=True, help="The file to write.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
def eval_train_reader(data: tuple[Path, ...], budget: float, output: Path, device: str, threads: int) -> None:
    """Train the attribute reader on the rendered clips in DATA folders (haneul world render).

    Run again, it goes on from the file that it wrote.
    """
    from haneul.evals.training import ReaderRecipe, train_reader

    recipe = ReaderRecipe(data=data, output=output, budget=budget, device=device, threads=threads)
    train_reader(recipe, click.echo)


# ---------------------------------------------------------------------------------------------- config and models


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
    import hashlib

    import safetensors

    from haneul.config import load_settings

    chosen = load_settings().weights
    folders = [Path(__file__).parent / "weights", *([chosen] if chosen else [])]
    files = [file for folder in folders for file in sorted(folder.glob("*.safetensors"))]
    if not files:
        click.echo("no weights are installed in " + " or ".join(str(folder) for folder in folders), err=True)
    for file in files:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        click.echo(f"{file.stem}: {file.stat().st_size / 2**20:.1f} MiB, sha256 {digest}\n  {file}")
        try:
            with safetensors.safe_open(file, framework="numpy") as tensors:
                metadata = tensors.metadata() or {}
        except safetensors.SafetensorError as error:
            click.echo(f"  damaged: {_one_line(error)}", err=True)
            continue
        for key, value in sorted(metadata.items()):
            click.echo(f"  {key}: {value if len(value) <= 200 else value[:197] + '...'}")
