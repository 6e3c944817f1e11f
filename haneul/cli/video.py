"""`haneul generate`, `haneul understand` and `haneul verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from haneul.cli.base import PATH, SIZE, main, progress_display


@main.command()
@click.argument("prompt")
@click.option("-o", "--output", type=PATH, default="out.mp4", show_default=True, help="The file to write.")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length.")
@click.option("--size", type=SIZE, default="896x512", show_default=True, help="Width and height.")
@click.option("--seed", type=int, help="The same seed gives the same video.  [default: drawn, and reported]")
@click.option("--steps", type=int, help="Sampling steps.  [default: the model's]")
@click.option("--guidance", type=float, help="How strictly the prompt is followed.  [default: the model's]")
@click.option("--negative", default="", metavar="TEXT", help="What should not be seen.")
@click.option("--image", type=PATH, metavar="FILE", help="A picture that the video begins with.")
@click.option("--preview", type=PATH, metavar="PNG", help="Also write a strip of frames.")
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
    image: Path | None,
    preview: Path | None,
    report: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Make a video from PROMPT and sign it; or a picture, where the output's name ends in .png or .webp."""
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
            image=image,
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
