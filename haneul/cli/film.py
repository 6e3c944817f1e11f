"""`haneul film` and `assemble`: a storyboard becomes a film, finished clips become one, or another kind of file."""

from __future__ import annotations

from pathlib import Path

import click

from haneul.cli.base import PATH, SIZE, main, progress_display


@main.command()
@click.argument("storyboard", type=PATH)
@click.option("-o", "--output", type=PATH, default="film.mp4", show_default=True, help="A film, or an .otio time line.")
@click.option("--redo", type=int, multiple=True, metavar="N", help="Make shot N anew with another seed; repeatable.")
@click.option("--model", metavar="FOLDER|NAME", help="An open checkpoint.  [default: the settings']")
@click.option("--overwrite", is_flag=True, help="Replace a film that exists; shots that did not change stay.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def film(
    storyboard: Path, output: Path, redo: tuple[int, ...], model: str | None, overwrite: bool, quiet: bool
) -> None:
    """Make the shots of a STORYBOARD (TOML or JSON), and a film of them.

    Each shot is a signed file in a folder beside the film. Run again after a change, only what changed is made.
    """
    from haneul.video.io import check_output

    check_output(output, overwrite=overwrite)  # before torch is even loaded
    from haneul import engine
    from haneul import storyboard as boards
    from haneul.config import load_settings

    backbone = None if model is None else engine.backbone_of(model, load_settings())

    with progress_display(quiet=quiet) as progress:
        made = boards.film(
            storyboard, output=output, redo=redo, overwrite=overwrite, progress=progress, backbone=backbone
        )
    if not quiet:
        for warning in made.warnings:
            click.echo(f"warning: {warning}", err=True)
        for piece in made.pieces:
            what = f"way to shot {piece.number}" if piece.bridge else f"shot {piece.number}"
            click.echo(f"{what}: {piece.path} ({'made' if piece.new else 'kept'})", err=True)
        click.echo(str(made.path))


@main.command()
@click.argument("clips", nargs=-1, required=True, type=PATH)
@click.option(
    "-o", "--output", type=PATH, default="out.mp4", show_default=True, help="The file: .mp4, .webm or .gif."
)  # fmt: skip
@click.option("--size", type=SIZE, help="Width and height, or a name (1080p, shorts).  [default: the first clip's]")
@click.option("--start", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Of a single clip.")
@click.option("--end", type=click.FloatRange(min=0), metavar="SECONDS", help="Of a single clip.  [default: its end]")
@click.option("--dissolve", is_flag=True, help="Clips cross for half a second instead of following one another.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def assemble(
    clips: tuple[Path, ...], output: Path, size: tuple[int, int] | None, start: float, end: float | None,
    dissolve: bool, overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    """Put finished CLIPS one after another as one signed file. Nothing is imagined.

    A single clip is trimmed, or written as another kind of file: haneul assemble car.mp4 -o car.gif --size 480x274
    """
    from haneul.errors import InputError
    from haneul.video.io import check_output

    check_output(output, overwrite=overwrite)
    if len(clips) > 1 and (start or end is not None):
        raise InputError("--start and --end are of a single clip; trim each by itself first")
    from haneul.assemble import Cut
    from haneul.assemble import assemble as put_together

    cuts = [Cut(path=path, start=start, end=end, dissolve=dissolve and n > 0) for n, path in enumerate(clips)]
    with progress_display(quiet=quiet) as progress:
        made = put_together(cuts, output=output, size=size, overwrite=overwrite, progress=progress)
    if not quiet:
        for warning in made.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(str(made.path))
