"""`haneul film`: a storyboard becomes a film."""

from __future__ import annotations

from pathlib import Path

import click

from haneul.cli.base import PATH, main, progress_display


@main.command()
@click.argument("storyboard", type=PATH)
@click.option("-o", "--output", type=PATH, default="film.mp4", show_default=True, help="A film, or an .otio time line.")
@click.option("--redo", type=int, multiple=True, metavar="N", help="Make shot N anew with another seed; repeatable.")
@click.option("--overwrite", is_flag=True, help="Replace a film that exists; shots that did not change stay.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def film(storyboard: Path, output: Path, redo: tuple[int, ...], overwrite: bool, quiet: bool) -> None:
    """Make the shots of a STORYBOARD (TOML or JSON), and a film of them.

    Each shot is a signed file in a folder beside the film. Run again after a change, only what changed is made.
    """
    from haneul.video.io import check_output

    check_output(output, overwrite=overwrite)  # before torch is even loaded
    from haneul import storyboard as boards

    with progress_display(quiet=quiet) as progress:
        made = boards.film(storyboard, output=output, redo=redo, overwrite=overwrite, progress=progress)
    if not quiet:
        for warning in made.warnings:
            click.echo(f"warning: {warning}", err=True)
        for piece in made.pieces:
            what = f"way to shot {piece.number}" if piece.bridge else f"shot {piece.number}"
            click.echo(f"{what}: {piece.path} ({'made' if piece.new else 'kept'})", err=True)
        click.echo(str(made.path))
