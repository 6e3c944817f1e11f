"""The card as one page that needs nothing else: text, plots as inline SVG, clips as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from haneul.evals.card import pictures, plots
from haneul.evals.card.plots import Line, color, intervals

Result = dict[str, Any]

PLAIN: Final = 0.7  #: correlation of renders with the truth, from which points are plotted

INTRO: Final = (
    "The training world is simulated, so what a model makes can be held against the truth. Figures come with their "
    "95% intervals, and with what the same measure says of renders, whose truth is known."
)
PHYSICS: Final = (
    "A model is given the first frame of a set-up, or its first half second, and a caption; the camera stands still. A "
    "tracker that knows what the thing and the place look like reads where the thing is. The green band is what the "
    "simulator says of the same set-ups. Renders are the tracker's own error; <i>another run</i> is the simulator with "
    "speeds at the start that differ by 5%; <i>a still</i> repeats the first frame. Errors are medians over the "
    "set-ups that can be read."
)


#: Tells a part: its figures, what it shows, the models' names.
Teller = Callable[[Result, dict[str, Any], Sequence[str]], str]


def html(result: Result, clips: dict[str, Any], sections: dict[str, tuple[str, Teller]]) -> str:
    """The whole page. `clips`: part -> what it showed; `sections`: part -> its title and who tells it."""
    names = [m["name"] for m in result["models"]]
    parts = [
        (title, tell(result["parts"][key], clips.get(key, {}), names))
        for key, (title, tell) in sections.items()
        if key in result["parts"]
    ]
    links = "".join(f'<a href="#{_anchor(title)}">{escape(title)}</a>' for title, _ in parts)
    body = "".join(f'<section><h2 id="{_anchor(title)}">{escape(title)}</h2>{text}</section>' for title, text in parts)
    style = files("haneul.evals.card").joinpath("page.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Report card: {escape(", ".join(names))}'
        '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main><h1>Report card</h1><p>{INTRO}</p>{_about(result)}<nav>{links}</nav>"
        f"{body}</main></body></html>\n"
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def block(text: str) -> str:
    return f'<div class="block">{text}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def told(figure: Result | None, percent: bool = False) -> str:
    """A figure with its interval in small print."""
    if not figure:
        return "–"
    value, span = plots.interval(figure, percent)
    return f"{value} <small>{span}</small>"


def _about(result: Result) -> str:
    rows = []
    names = [m["name"] for m in result["models"]]
    for m in result["models"]:
        key = f'<span class="key" style="background:var({color(m["name"], names)})"></span>'
        how = f"{m['steps']} steps, guidance {m['guidance']:g}, {m['fps']} frames a second"
        rows.append([key + escape(m["name"]), escape(m["model"]), m["weights_sha256"][:12], how, escape(m["given"])])
    machine = result["machine"]
    made = f"{escape(result['command'])} · {result['date']} · commit {result['commit'] or 'unknown'}"
    on = f"{machine['cores']} cores of {escape(machine['processor'])}"
    return (
        table(["", "model", "weights", "sampled with", "can begin with"], rows) + f'<p class="soft">{made} · {on}</p>'
    )


# ------------------------------------------------------------------------------------------------------------- physics


def physics(part: Result, clips: dict[str, Any], models: Sequence[str]) -> str:
    text = f"<p>{PHYSICS}</p>" + block(_physics_table(part, models)) + block(_iq(part["iq"], models))
    scenes: dict[str, list[str]] = {}
    for key, line in part["lines"].items():
        scenes.setdefault(line["scene"], []).append(key)
    for scene, keys in scenes.items():
        text += block(_scene(scene, {k: part["lines"][k] for k in keys}, clips.get(scene), models))
    return text


def _physics_table(part: Result, models: Sequence[str]) -> str:
    shown = [m for m in models if any(m in line["models"] for line in part["lines"].values())]
    rows = []
    for line in part["lines"].values():
        is_share = line["kind"] == "share"
        percent = is_share or line["error"] == "relative"

        def off(found: Result, is_share: bool = is_share, percent: bool = percent) -> str:
            read = found["read"]
            missed = (
                ""
                if read["value"] == 1 or read["value"] is None
                else f" <small>read {100 * read['value']:.0f}%</small>"
            )
            figure = found["figure"] if is_share else found["error"]
            return told(figure, percent) + missed

        whole = "agrees" if is_share else f"off by, {line['unit']}" if line["unit"] and not percent else "off by"
        rows.append([
            escape(line["title"]), f"<small>{whole}</small>", off(line["renders"]),
            *(off(line["models"][who]) for who in ("another run", "a still")), *(off(line["models"][m]) for m in shown),
        ])  # fmt: skip
    head = ["measure", "", "tracker on renders", "another run", "a still", *map(escape, shown)]
    left_out = ", ".join(f"{scene} {n}" for scene, n in part["left_out"].items() if n) or "none"
    note = f"{part['setups']} set-ups a scene; left out, as the tracker can't tell the thing on the render: {left_out}."
    return table(head, rows) + f'<p class="soft">{escape(note)}</p>'


def _iq(found: Result, models: Sequence[str]) -> str:
    if not found:
        return ""
    rows = []
    for key, title in (
        ("score", "score"), ("spatial", "where it moves (overlap)"), ("spatiotemporal", "where and when (overlap)"),
        ("weighted_spatial", "where and how much (overlap)"), ("mse", "squared error"),
    ):  # fmt: skip
        rows.append([title, *(told(figures[key]) for figures in found.values())])
    note = (
        "After Physics-IQ (arXiv 2501.09038), on set-ups in which something should move, from what was not given on. "
        "Another physical run is the ceiling: its score is 1. Comparable in kind, not in number, with theirs."
    )
    return (
        "<h3>Where, when and how much moves</h3>"
        + table(["", *map(escape, found)], rows)
        + f'<p class="soft">{note}</p>'
    )


def _scene(scene: str, lines: dict[str, Result], shown: Result | None, models: Sequence[str]) -> str:
    first = next(iter(lines.values()))
    text = f'<h3>{escape(scene)}</h3><p class="soft">given: {escape(first["given"])}</p>'
    if shown:
        text += film(shown["clips"], shown["caption"])
    for line in lines.values():
        text += f"<figure><figcaption>{escape(line['title'])}{_of(line)}</figcaption>"
        text += f'<div class="row">{_plot(line, models)}{_against(line, models)}</div></figure>'
    return text


def _of(line: Result) -> str:
    return f", {escape(line['unit'])}" if line["unit"] else ""


def _plot(line: Result, models: Sequence[str]) -> str:
    is_share = line["kind"] == "share"
    lines = []
    for who, found in {"renders": line["renders"], **line["models"]}.items():
        values = [] if is_share else [v for _, v in found["points"]]
        lines.append(Line(name=who, color=color(who, models), figure=found["figure"], values=values))
        if "tracker" in found:
            figure = found["tracker"]["figure"]
            lines.insert(1, Line(name=f"renders, codec of {who}", color="--renders", figure=figure))
    truth = [] if is_share else [t for t, _ in line["renders"]["points"]]
    bounds = (0.0, 1.0) if is_share else None
    return intervals(lines, title=line["title"], truth=truth, bounds=bounds, percent=is_share)


def _against(line: Result, models: Sequence[str]) -> str:
    """Truth against value, where the truth differs from set-up to set-up by more than the tracker's error."""
    if (line["renders"].get("follows", {}).get("value") or 0.0) < PLAIN:
        return ""
    series = {"renders": ("--renders", line["renders"]["points"])}
    series |= {m: (color(m, models), line["models"][m]["points"]) for m in models if m in line["models"]}
    follows = "; ".join(
        f"{escape(who)} {told(found['follows'])}"
        for who, found in {"renders": line["renders"], **line["models"]}.items()
        if found.get("follows", {}).get("value") is not None
    )
    plot = plots.scatter(series, title=f"{line['title']} against the simulator", unit=line["unit"])
    told_so = f"follows the simulator (correlation): {follows}"
    return f'<figure class="against">{plot}<figcaption>{told_so}</figcaption></figure>'


def film(clips: dict[str, Any], caption: str) -> str:
    """Clips side by side that play together, named."""
    heads = "".join(f"<span>{escape(name)}</span>" for name in clips)
    address = pictures.animated(pictures.beside(list(clips.values())))
    grid = f"grid-template-columns:repeat({len(clips)},1fr);width:{224 * len(clips)}px;max-width:100%"
    return (
        f'<figure><div class="heads" style="{grid}">{heads}</div><img alt="{escape(caption, quote=True)}" '
        f'width="{224 * len(clips)}" src="{address}"><figcaption>{escape(caption)}</figcaption></figure>'
    )
