"""What the installed diffusers can run, read from its source text: which pipeline classes there are, what their calls
take, and what a class's configuration is where a checkpoint's file leaves it open.

Reading is not importing: importing a pipeline takes seconds (torch, transformers), parsing its file milliseconds, so a
checkpoint that cannot work is refused at once and `haneul models show` is immediate.
"""

from __future__ import annotations

import ast
import importlib.util
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from haneul.errors import InputError

#: How pipelines call the number of frames.
FRAMES = ("num_frames", "frames", "video_length")
REQUIRED = object()  #: the default of a parameter that has none
#: A denoiser's time that is masked where frames are given: it takes a noise level for each token, as ours does.
_PER_TOKEN = re.compile(r"(?:timestep|temp_ts)\s*=.*mask")
#: A picture's latents put beside the noise, channel by channel.
_CHANNELS = re.compile(r"torch\.cat\(\s*\[\s*latent\w*,\s*\w*(?:cond|image|control|reference)\w*.*?\],\s*dim=[12]\)")


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One pipeline class of diffusers as its source has it."""

    name: str
    package: str  #: the folder that it lies in, such as "wan"
    call: Mapping[str, Any] = field(repr=False)  #: parameter -> default, or REQUIRED
    parts: Mapping[str, Any] = field(repr=False)  #: component or configuration value -> default, or REQUIRED
    kinds: Mapping[str, frozenset[str]] = field(repr=False)  #: component -> names of the types that it may have
    multiple: int  #: of which its check wants both sides to be
    per_token: bool  #: whether a given picture is told by a noise level for each token
    channels: bool  #: whether a given picture takes channels of the denoiser's input
    time_axis: int | None  #: of its latents [5 dimensions] while they are sampled; None where they are packed
    needs: frozenset[str]  #: modules beside diffusers that its file works with where they are installed

    @property
    def makes_video(self) -> bool:
        """Whether a number of frames can be asked for, or a video is made anew."""
        return self.frames is not None or "video" in self.call or self.follows is not None

    @property
    def follows(self) -> str | None:
        """The parameter for a control video that is taken whole, as a list of pictures."""
        if "controls" in self.call:
            return "controls"
        return "control_video" if "control_video" in self.call and self.frames is None else None

    @property
    def frames(self) -> str | None:
        """The parameter for the number of frames."""
        return next((name for name in FRAMES if name in self.call), None)


def root() -> Path:
    """The folder of the installed diffusers. Raises InputError where it is missing."""
    found = importlib.util.find_spec("diffusers")
    if found is None or found.origin is None:
        raise InputError("open checkpoints need diffusers, which is not installed; run: pip install 'haneul[open]'")
    return Path(found.origin).parent


@cache
def _files(folder: str) -> dict[str, Path]:
    """Class name -> the file under a folder of diffusers that defines it."""
    found: dict[str, Path] = {}
    for path in sorted((root() / folder).rglob("*.py")):
        for name in re.findall(r"^class (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(name, path)
    return found


@cache
def pipeline(name: str) -> Pipeline | None:
    """The pipeline class of a name; None if the installed diffusers has none."""
    path = _files("pipelines").get(name)
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    node = _class(text, name)
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if "__call__" not in methods or "__init__" not in methods:
        return None
    constants = _constants(text)
    body = ast.get_source_segment(text, node) or ""
    wanted = [int(n) for n in re.findall(r"(?:height|width) % (\d+) != 0", body)]
    return Pipeline(
        name=name,
        package=path.parent.name,
        call=_defaults(methods["__call__"], constants),
        parts=_defaults(methods["__init__"], constants),
        kinds={arg.arg: _names(arg.annotation) for arg in methods["__init__"].args.args[1:]},
        multiple=math.lcm(*wanted) if wanted else 1,
        per_token=bool(_PER_TOKEN.search(body)),
        channels=bool(_CHANNELS.search(body)),
        time_axis=_time_axis(body),
        needs=_needs(text),
    )


def pipeline_package(name: str) -> str | None:
    """The folder of that name if diffusers has pipelines in it: an index may name a class that lies beside its pipeline
    in this way."""
    return name if (root() / "pipelines" / name).is_dir() and name.isidentifier() else None


def _time_axis(body: str) -> int | None:
    """Where time is in the latents that a call's callback sees."""
    shape = re.search(r"shape = \(\s*(?:batch_size|\w*batch\w*),\s*([^,]+),", body)
    if shape is None or "_pack_latents" in body or "callback_on_step_end" not in body:
        return None
    return 1 if "frame" in shape[1] else 2


def neighbours(of: Pipeline) -> Iterator[Pipeline]:
    """The other pipeline classes of the same folder."""
    for name, path in _files("pipelines").items():
        if path.parent.name == of.package and name != of.name and name.endswith("Pipeline"):
            found = pipeline(name)
            if found is not None:
                yield found


@cache
def config_defaults(name: str) -> Mapping[str, Any]:
    """What a model class of diffusers takes where its configuration is silent; empty for other libraries' classes."""
    path = _files("models").get(name)
    if path is None:
        return {}
    text = path.read_text(encoding="utf-8")
    for item in _class(text, name).body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            found = _defaults(item, _constants(text))
            return {key: value for key, value in found.items() if value is not REQUIRED}
    return {}


def model_needs(name: str) -> frozenset[str]:
    """Modules that a model class's file works with where they are installed, and breaks off without."""
    path = _files("models").get(name)
    return frozenset() if path is None else _needs(path.read_text(encoding="utf-8"))


def _needs(text: str) -> frozenset[str]:
    return frozenset(name for name in ("ftfy", "torchvision") if f"is_{name}_available()" in text)


def _class(text: str, name: str) -> ast.ClassDef:
    return next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == name)


def _constants(text: str) -> dict[str, Any]:
    """The module's own plain constants, which defaults may name."""
    found: dict[str, Any] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _value(node.value, {})
    return found


def _defaults(function: ast.FunctionDef, constants: Mapping[str, Any]) -> dict[str, Any]:
    """Parameter -> its default, without self."""
    names = [arg.arg for arg in function.args.args][1:]
    given = [_value(node, constants) for node in function.args.defaults]
    found = dict(zip(names, [REQUIRED] * (len(names) - len(given)) + given, strict=True))
    for arg, node in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        found[arg.arg] = REQUIRED if node is None else _value(node, constants)
    return found


def _value(node: ast.expr, constants: Mapping[str, Any]) -> Any:
    """A literal's value; None for what only running could tell."""
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _names(node: ast.expr | None) -> frozenset[str]:
    """The names in an annotation: `A | None` has A and None."""
    if node is None:
        return frozenset()
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
