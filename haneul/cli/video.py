"""`haneul generate`, `understand` and `verify`, and a command for each mode that begins with the user's own media."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from haneul.cli.base import PATH, SIZE, main, progress_display

Command = Callable[..., None]


class Lora(click.ParamType[tuple[Path, float]]):
    """FILE[=WEIGHT]."""

    name = "FILE[=WEIGHT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Path, float]:
        file, given, weight = str(value).rpartition("=")
        try:
            return (Path(file), float(weight)) if given else (Path(weight), 1.0)
        except ValueError:
            self.fail(f"{value!r} is no LoRA; write a file and a weight, such as film.safetensors=0.8", param, ctx)


#: The options that choose a model.
MODEL = (
    click.option("--model", metavar="FOLDER|NAME", help="An open checkpoint.  [default: the settings']"),
    click.option("--weights", type=PATH, metavar="FILE", help="Its denoiser from one .safetensors or .gguf file."),
    click.option("--lora", "loras", type=Lora(), multiple=True, help="A LoRA for it, such as film.safetensors=0.8."),
    click.option("--cache", type=float, default=0.0, metavar="SHARE", help="Skip blocks that change less: 0.05."),
    click.option(
        "--context-noise", type=float, metavar="SHARE",
        help="Noise on what a long video's window sees of the last one.  [default: the family's, mostly 0.02]",
    ),
    click.option("--quantise", is_flag=True, help="Its denoiser's weights in 8 bits by torchao."),
    click.option("--exact", is_flag=True, help="Bit for bit as plain diffusers makes it: slower."),
    click.option("--compile", "compiled", is_flag=True, help="Compile its blocks first: minutes, then faster."),
)  # fmt: skip


#: Their names.
HOW = ("model", "weights", "loras", "cache", "context_noise", "quantise", "compiled", "exact")


def model_of(given: dict[str, Any]) -> dict[str, Any]:
    """The options with the model that they choose in place of its name. An open checkpoint's terms are shown when it is
    used for the first time, before anything is computed."""
    from haneul import engine
    from haneul.config import load_settings

    how = {name: given.pop(name) for name in HOW}
    settings = load_settings()
    if not settings.model and all(value in (None, False, ()) for value in how.values()):
        return given
    backbone = engine.backbone_of(how.pop("model"), settings, **how)
    if (terms := getattr(backbone, "first_use", None)) is not None and (text := terms()):
        click.echo(text, err=True)
    return given | {"backbone": backbone}


def making(own_size: bool = True, several: bool = False) -> Callable[[Command], Command]:
    """The options of every command that makes a video. With `own_size` the size is the given clip's unless named;
    commands that make several at once have no preview and no report of one."""
    size = "[default: the clip's]" if own_size else None
    options = (
        click.option(
            "-o", "--output", type=PATH, default="out.mp4", show_default=True, help="The file: .mp4, .webm or .gif."
        ),
        click.option(
            "--size", type=SIZE, default=None if own_size else "896x512", show_default=not own_size,
            help="Width and height, an aspect (21:9) or a name (1080p, shorts)." + (f"  {size}" if size else ""),
        ),
        *MODEL,
        click.option("--seed", type=int, help="The same seed gives the same video.  [default: drawn, and reported]"),
        click.option("--steps", type=int, help="Sampling steps.  [default: the model's]"),
        click.option("--guidance", type=float, help="How strictly the prompt is followed.  [default: the model's]"),
        click.option("--negative", default="", metavar="TEXT", help="What should not be seen."),
        click.option("--expand/--no-expand", default=None, help="Fill in what the prompt leaves open."),
        click.option("--expander", metavar="URL", help="A chat endpoint that describes a short prompt in detail."),
        click.option("--camera", metavar="PATH", help='Its way in words, such as "orbit left 40, then push in".'),
        click.option("--action", metavar="WORDS", help='What the subject does, such as "drive, then jump".'),
        *(() if several else (
            click.option("--preview", type=PATH, metavar="PNG", help="Also write a strip of frames."),
            click.option("--stream", is_flag=True, help="Can be watched while it is made: as out.stream.mp4."),
            click.option(
                "--stream-to", metavar="FILE", help="The same as FILE; - is standard output, for a player's pipe."
            ),
            click.option(
                "--report", type=str, is_flag=False, flag_value="", metavar="[JSON]",
                help="Also write what was done, beside the video unless a file is named.",
            ),
        )),
        click.option("--overwrite", is_flag=True, help="Replace files that exist."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    )  # fmt: skip

    def add(command: Command) -> Command:
        return functools.reduce(lambda found, option: option(found), reversed(options), command)

    return add


def chosen(given: dict[str, Any]) -> dict[str, Any]:
    """The options without an open --expand, for which each mode has its own default."""
    return {name: value for name, value in given.items() if (name, value) != ("expand", None)}


def run(mode: str, *args: Any, **options: Any) -> None:
    """Make a video by one of the library's functions, with progress, report and warnings; where torchrun started
    several processes, the first of them makes it and the others follow it."""
    from haneul.backbones.open import parallel

    with parallel.together() as first:
        if first:
            _run(mode, *args, **options)


def _run(
    mode: str, *args: Any, output: Path, preview: Path | None, report: str | None, overwrite: bool, quiet: bool,
    stream: bool, stream_to: str | None, **given: Any,
) -> None:  # fmt: skip
    from haneul.video.io import atomic_output, check_output
    from haneul.video.live import live_name

    live = sys.stdout.buffer if stream_to == "-" else stream_to or (live_name(output) if stream else None)

    report_path = None if report is None else Path(report) if report else output.with_suffix(".json")
    for path in (output, preview, report_path):
        if path is not None:
            check_output(path, overwrite=overwrite)  # before torch is even loaded
    from haneul import edits, engine

    ways: dict[str, Callable[..., Any]] = {"generate": engine.generate, "guided": engine.guided, **edits.MODES}
    make = ways[mode]
    given = model_of(given)
    with progress_display(quiet=quiet) as progress:
        result = make(
            *args, output=output, preview=preview, overwrite=overwrite, progress=progress, stream=live, **chosen(given)
        )
    if report_path is not None:
        with atomic_output(report_path, overwrite=overwrite) as unfinished:
            unfinished.write_text(json.dumps(result.report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if not quiet:
        if understood := result.report["understood"]:
            told = ", ".join(f"{slot} {found['value']}" for slot, found in understood.items())
            click.echo(f"understood: {told}", err=True)
        if caption := result.report["caption"]:
            click.echo(f"described: {caption}", err=True)
        if added := result.report["expanded"]:
            click.echo("added: " + ", ".join(f"{slot} {value}" for slot, value in added.items()), err=True)
        for warning in result.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{result.path} (seed {result.seed})", err=stream_to == "-")


@main.command()
@click.argument("prompt")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length.")
@click.option("--image", type=PATH, metavar="FILE", help="A picture that the video begins with.")
@click.option("--loop", is_flag=True, help="The end leads into the beginning.")
@click.option(
    "--guide", type=PATH, metavar="TOML", help="A scene that is simulated and that an open checkpoint follows."
)
@making(own_size=False)
def generate(prompt: str, guide: Path | None, **options: Any) -> None:
    """Make a video from PROMPT and sign it; or a picture, where the output's name ends in .png or .webp."""
    if guide is None:
        run("generate", prompt, **options)
        return
    from haneul.errors import InputError
    from haneul.world import guide as guides

    if options.pop("image") or options.pop("loop"):
        raise InputError("a guide already says how the video goes; leave out the image or the loop")
    told = guides.read(guide)
    w, h = options["size"]
    half = (w // 4 * 2, h // 4 * 2)  # it is followed, not seen

    def frames(seconds: float, fps: float) -> Any:
        return guides.frames(told, size=half, seconds=seconds, fps=fps)

    run("guided", prompt, frames, hold=told.hold, **options)


@main.command()
@click.argument("prompt")
@click.option("-n", "--count", type=int, default=4, show_default=True, help="How many: out-1.mp4, out-2.mp4, ...")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length.")
@making(own_size=False, several=True)
def vary(prompt: str, count: int, quiet: bool, **options: Any) -> None:
    """Make several videos of PROMPT to choose from, and a sheet that shows them."""
    from haneul import variations

    with progress_display(quiet=quiet) as progress:
        results, sheet = variations.vary(prompt, count=count, progress=progress, **chosen(model_of(options)))
    if not quiet:
        for warning in results[0].warnings:
            click.echo(f"warning: {warning}", err=True)
        for result in results:
            click.echo(f"{result.path} (seed {result.seed})")
        click.echo(str(sheet))


@main.command()
@click.argument("clip", type=PATH)
@click.argument("prompt")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length of what is added.")
@click.option("--backward", is_flag=True, help="Before the clip instead of after it.")
@click.option("--from", "start", type=float, default=0.0, help="Cut the clip first: where it begins, in seconds.")
@click.option("--to", "end", type=float, help="Cut the clip first: where it ends, in seconds.")
@making()
def extend(clip: Path, prompt: str, **options: Any) -> None:
    """Go on with CLIP, as PROMPT says, or add what was before it."""
    run("extend", clip, prompt, **options)


@main.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.argument("prompt")
@click.option("--seconds", type=float, default=2.0, show_default=True, help="Length of what is made between them.")
@making()
def connect(first: Path, second: Path, prompt: str, **options: Any) -> None:
    """Lead from FIRST to SECOND, clips or pictures."""
    run("connect", first, second, prompt, **options)


@main.command()
@click.argument("clip", type=PATH)
@click.argument("prompt")
@click.option("--seconds", type=float, default=2.0, show_default=True, help="Length of the way back.")
@making()
def loop(clip: Path, prompt: str, **options: Any) -> None:
    """Lead from the end of CLIP back to its beginning; see generate --loop for a loop from nothing."""
    run("loop", clip, prompt, **options)


@main.command()
@click.argument("clip", type=PATH)
@click.argument("prompt")
@click.option("--from", "start", type=float, required=True, help="Where the new part begins, in seconds.")
@click.option("--to", "end", type=float, required=True, help="Where it ends.")
@making()
def retake(clip: Path, prompt: str, **options: Any) -> None:
    """Make a part of CLIP anew and keep the rest."""
    run("retake", clip, prompt, **options)


class Keyframe(click.ParamType[tuple[float, Path]]):
    """SECONDS=FILE."""

    name = "SECONDS=FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, Path]:
        moment, _, file = str(value).partition("=")
        try:
            return float(moment), Path(file)
        except ValueError:
            self.fail(f"{value!r} is no keyframe; write the moment and its picture, such as 2.5=end.png", param, ctx)


@main.command()
@click.argument("prompt")
@click.argument("pictures", type=Keyframe(), nargs=-1, required=True)
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length.")
@making(own_size=False)
def keyframes(prompt: str, pictures: tuple[tuple[float, Path], ...], **options: Any) -> None:
    """Make a video that passes through PICTURES, each SECONDS=FILE."""
    if len(dict(pictures)) < len(pictures):
        raise click.BadParameter("two pictures cannot have the same moment", param_hint="PICTURES")
    run("keyframes", dict(pictures), prompt, **options)


@main.command()
@click.argument("clip", type=PATH)
@click.argument("prompt")
@click.option("--strength", type=float, default=0.6, show_default=True, help="0 keeps all, 1 nothing.")
@making()
def remix(clip: Path, prompt: str, **options: Any) -> None:
    """Make CLIP anew as PROMPT says it."""
    run("remix", clip, prompt, **options)


class Box(click.ParamType[tuple[float, float, float, float]]):
    """LEFT,TOP,RIGHT,BOTTOM as shares of the picture."""

    name = "L,T,R,B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float, float]:
        try:
            left, top, right, bottom = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no box; write left,top,right,bottom as shares, such as 0.5,0.2,1,0.8", param, ctx)
        return left, top, right, bottom


@main.command()
@click.argument("clip", type=PATH)
@click.argument("prompt")
@click.option("--box", type=Box(), required=True, help="What is made anew, as shares of the picture.")
@making()
def inpaint(clip: Path, prompt: str, **options: Any) -> None:
    """Make what lies in a box of CLIP anew and keep the rest."""
    run("inpaint", clip, prompt, **options)


@main.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.argument("prompt")
@click.option("--seconds", type=float, default=2.0, show_default=True, help="Length of what both share.")
@click.option("--hold", type=float, default=0.25, show_default=True, help="How much of both stays in the middle.")
@making()
def blend(first: Path, second: Path, prompt: str, **options: Any) -> None:
    """Let clip FIRST turn into clip SECOND."""
    run("blend", first, second, prompt, **options)


@main.command()
@click.argument("prompt")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def understand(prompt: str, as_json: bool) -> None:
    """Tell what the model takes PROMPT to say, before a single frame is made."""
    from haneul import engine

    found, warnings = engine.understand(prompt)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for slot, read in found.items():
            click.echo(f"{slot:<12}{read['value']:<20}{100 * read['probability']:.0f}%")
        if not found:
            click.echo("nothing that the model knows", err=True)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


@main.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option(
    "--watermark/--no-watermark",
    default=None,
    help="Look for a watermark in any case, or in none.  [default: where no signature of this installation holds]",
)
@click.option("--registry", metavar="URL", help="Also ask another installation's service for its record.")
@click.option("--registry-key", type=PATH, metavar="FILE", help="Where the key to that service stands, if it asks.")
@click.pass_context
def verify(
    ctx: click.Context, file: Path, as_json: bool, watermark: bool | None, registry: str | None,
    registry_key: Path | None,
) -> None:  # fmt: skip
    """Tell what FILE is, who signed it, and whether it was changed.

    A file whose credentials were stripped is recognised by its watermark, even when it was re-encoded, scaled or
    cropped. With --registry, a service that made it is asked too: by the number that the file names, or with the file
    itself. What it answers is a signed manifest, which is checked here.

    Exit code 0: signed and unchanged; 10: not signed; 11: changed, or the signature does not count; 12: not as it was
    signed, but its watermark leads to a record here; 13: it has a watermark of this installation without a record.
    """
    from haneul.trust.origin import verify as examine

    verdict = examine(file, watermark=watermark)
    if registry is not None and not verdict.here and verdict.state != "recovered":
        from haneul.trust.remote import consult

        key = registry_key.expanduser().read_text(encoding="utf-8").strip() if registry_key else None
        verdict = consult(verdict, registry, key=key)
    click.echo(json.dumps(verdict.to_json(), ensure_ascii=False, indent=2) if as_json else verdict.text())
    ctx.exit(verdict.exit_code)
