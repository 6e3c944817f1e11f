"""`haneul generate`, `understand` and `verify`, and a command for each mode that begins with the user's own media."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from haneul.cli.base import PATH, SIZE, main, progress_display

Command = Callable[..., None]


def making(own_size: bool = True, several: bool = False) -> Callable[[Command], Command]:
    """The options of every command that makes a video. With `own_size` the size is the given clip's unless named;
    commands that make several at once have no preview and no report of one."""
    size = "[default: the clip's]" if own_size else None
    options = (
        click.option("-o", "--output", type=PATH, default="out.mp4", show_default=True, help="The file to write."),
        click.option(
            "--size", type=SIZE, default=None if own_size else "896x512", show_default=not own_size,
            help="Width and height." + (f"  {size}" if size else ""),
        ),
        click.option("--seed", type=int, help="The same seed gives the same video.  [default: drawn, and reported]"),
        click.option("--steps", type=int, help="Sampling steps.  [default: the model's]"),
        click.option("--guidance", type=float, help="How strictly the prompt is followed.  [default: the model's]"),
        click.option("--negative", default="", metavar="TEXT", help="What should not be seen."),
        click.option("--expand/--no-expand", default=None, help="Fill in what the prompt leaves open."),
        click.option("--camera", metavar="PATH", help='Its way in words, such as "orbit left 40, then push in".'),
        *(() if several else (
            click.option("--preview", type=PATH, metavar="PNG", help="Also write a strip of frames."),
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


def run(
    mode: str, *args: Any, output: Path, preview: Path | None, report: str | None, overwrite: bool, quiet: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Make a video by one of the library's functions, with progress, report and warnings."""
    from haneul.video.io import atomic_output, check_output

    report_path = None if report is None else Path(report) if report else output.with_suffix(".json")
    for path in (output, preview, report_path):
        if path is not None:
            check_output(path, overwrite=overwrite)  # before torch is even loaded
    from haneul import edits, engine

    make = engine.generate if mode == "generate" else edits.MODES[mode]
    with progress_display(quiet=quiet) as progress:
        result = make(*args, output=output, preview=preview, overwrite=overwrite, progress=progress, **chosen(given))
    if report_path is not None:
        with atomic_output(report_path, overwrite=overwrite) as unfinished:
            unfinished.write_text(json.dumps(result.report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if not quiet:
        if understood := result.report["understood"]:
            told = ", ".join(f"{slot} {found['value']}" for slot, found in understood.items())
            click.echo(f"understood: {told}", err=True)
        if added := result.report["expanded"]:
            click.echo("added: " + ", ".join(f"{slot} {value}" for slot, value in added.items()), err=True)
        for warning in result.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{result.path} (seed {result.seed})")


@main.command()
@click.argument("prompt")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length.")
@click.option("--image", type=PATH, metavar="FILE", help="A picture that the video begins with.")
@click.option("--loop", is_flag=True, help="The end leads into the beginning.")
@making(own_size=False)
def generate(prompt: str, **options: Any) -> None:
    """Make a video from PROMPT and sign it; or a picture, where the output's name ends in .png or .webp."""
    run("generate", prompt, **options)


@main.command()
@click.argument("prompt")
@click.option("-n", "--count", type=int, default=4, show_default=True, help="How many: out-1.mp4, out-2.mp4, ...")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length.")
@making(own_size=False, several=True)
def vary(prompt: str, count: int, quiet: bool, **options: Any) -> None:
    """Make several videos of PROMPT to choose from, and a sheet that shows them."""
    from haneul import variations

    with progress_display(quiet=quiet) as progress:
        results, sheet = variations.vary(prompt, count=count, progress=progress, **chosen(options))
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
@click.pass_context
def verify(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Tell what FILE is, who signed it, and whether it was changed.

    Exit code 0: signed and unchanged; 10: not signed; 11: changed, or the signature does not count.
    """
    from haneul.trust.credentials import verify as read_credentials

    verdict = read_credentials(file)
    click.echo(json.dumps(verdict.to_json(), ensure_ascii=False, indent=2) if as_json else verdict.text())
    ctx.exit(verdict.exit_code)
