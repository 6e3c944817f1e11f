"""`haneul bench`: what speed and steadiness were promised, measured here."""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path

import click

from haneul.cli.base import PATH, main


@main.command()
@click.argument("measures", nargs=-1)
@click.option("--quick", is_flag=True, help="Leave out what takes minutes: a minute at 1920x1080, and drift over one.")
@click.option("--out", type=PATH, default="bench.json", show_default=True, help="JSON; a table (.md) is put beside it.")
def bench(measures: tuple[str, ...], quick: bool, out: Path) -> None:
    """Measure how fast this machine makes videos: MEASURES of warm, cold, stream, peers, long, drift,
    open; all by default.

    Peers are compared where diffusers is installed (pip install 'haneul[bench]'), open checkpoints against plain
    diffusers with 'haneul[open]'.
    """
    import torch

    from haneul.backbones.native import BUNDLED, Native
    from haneul.config import load_settings
    from haneul.errors import InputError
    from haneul.evals import bench as benches
    from haneul.evals import report
    from haneul.train.pipeline import commit

    known = (*benches.QUICK, *benches.LONG)
    for name in measures:
        if name not in known:
            raise InputError(f"no measure is called {name!r}; there are: {', '.join(known)}")
    settings = load_settings()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    load = benches.load_average()
    names = tuple(n for n in known if n in measures) or (benches.QUICK if quick else known)
    results = benches.run(names, Native(settings.weights or BUNDLED), functools.partial(click.echo, err=True))
    result = {
        "command": " ".join(["haneul", *sys.argv[1:]]), "commit": commit(), "date": time.strftime("%Y-%m-%d"),
        "machine": report.machine(), "load": load, "measures": results,
    }  # fmt: skip
    table = report.write(result, out, benches.markdown)
    click.echo(table.read_text(encoding="utf-8"))
