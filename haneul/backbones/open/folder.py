"""A checkpoint's folder: found, read and checked before anything is loaded, so that what cannot work is said at once.

Only safetensors are weights here. Pickles (.bin, .pt, .ckpt) run code when they are opened, so they never are.
"""

from __future__ import annotations

import importlib.util
import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haneul.backbones.open import sources
from haneul.errors import CheckpointError

INDEX = "model_index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
#: What a part of a pipeline may be made by; another name would be code that comes with the checkpoint.
LIBRARIES = ("diffusers", "transformers")
#: What NVIDIA's Cosmos wants beside it, for its licence forbids to leave it out.
GUARDRAIL = "cosmos_guardrail"
_HEADER_MOST = 100 * 2**20  #: bytes of a safetensors header, the format's own limit
_BITS = {"BOOL": 8, "I8": 8, "U8": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
         "I64": 64, "U64": 64, "F64": 64, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6,
         "F6_E3M2": 6}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Header:
    """A safetensors file's table of contents."""

    path: Path
    tensors: Mapping[str, tuple[str, tuple[int, ...]]] = field(repr=False)  #: name -> (dtype, shape)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)  #: what its makers wrote into it

    @property
    def parameters(self) -> int:
        """How many numbers the file holds."""
        return sum(math.prod(shape) for _, shape in self.tensors.values())


@dataclass(frozen=True, kw_only=True)
class Part:
    """One component of a pipeline as the index names it."""

    name: str
    library: str
    kind: str  #: its class
    config: Mapping[str, Any] = field(repr=False)  #: what its file says, over what its class says
    headers: tuple[Header, ...] = field(default=(), repr=False)

    @property
    def parameters(self) -> int:
        """How many numbers its weights are."""
        return sum(header.parameters for header in self.headers)

    @property
    def stored_bytes(self) -> int:
        """Bytes of its weights' files."""
        return sum(header.path.stat().st_size for header in self.headers)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder that holds a pipeline, checked: its index, its parts, and every weight's shape."""

    folder: Path
    name: str  #: what the user calls it: the folder's name, or owner/name of the hub
    pipeline: sources.Pipeline
    parts: Mapping[str, Part]
    config: Mapping[str, Any]  #: the index's plain values, such as expand_timesteps

    @property
    def denoiser(self) -> Part:
        """The network that is asked at every step."""
        for name in ("transformer", "transformer_2", "unet"):
            if name in self.parts:
                return self.parts[name]
        raise CheckpointError(f"{self.name} has no transformer; its {INDEX} names only {', '.join(self.parts)}")

    @property
    def vae(self) -> Part:
        """What turns latents into frames."""
        if "vae" not in self.parts:
            raise CheckpointError(f"{self.name} has no vae; its {INDEX} names only {', '.join(self.parts)}")
        return self.parts["vae"]

    @property
    def weights(self) -> list[Path]:
        """All files of weights, by name."""
        return sorted(header.path for part in self.parts.values() for header in part.headers)


def read(folder: Path, name: str | None = None) -> Checkpoint:
    """The checkpoint in a folder.

    Raises CheckpointError, each time saying which file and what to do, for a folder that is none, a damaged index, a
    pipeline that diffusers does not have or that makes no video, missing files, shards that don't belong together,
    weights that are cut short, pickles, and code that comes with the checkpoint.
    """
    name = name or folder.name
    index = _index(folder, name)
    pipeline = pipeline_of(index, name)
    entries = {key: value for key, value in index.items() if not key.startswith("_")}
    named = {key: value for key, value in entries.items() if isinstance(value, list) and len(value) == 2}
    missing = [
        part for part, default in pipeline.parts.items()
        if default is sources.REQUIRED and part not in entries
    ]  # fmt: skip
    if missing:
        raise CheckpointError(f"the {INDEX} of {name} lacks {', '.join(missing)}; fetch the checkpoint again")
    parts = {key: _part(folder, name, key, *value) for key, value in named.items() if value[0] is not None}
    config = {key: value for key, value in entries.items() if key not in named}
    _check_installed(name, pipeline, parts)
    return Checkpoint(folder=folder, name=name, pipeline=pipeline, parts=parts, config=config)


def pipeline_of(index: Mapping[str, Any], name: str) -> sources.Pipeline:
    """The pipeline that an index names. CheckpointError where diffusers lacks it or it makes no video of texts."""
    kind = index.get("_class_name")
    if isinstance(kind, list):
        raise CheckpointError(
            f"{name} brings its own code ({kind[0]}), which is not run; use a checkpoint of a pipeline of diffusers"
        )
    if not isinstance(kind, str):
        raise CheckpointError(f"the {INDEX} of {name} names no pipeline (_class_name); fetch the checkpoint again")
    pipeline = sources.pipeline(kind)
    if pipeline is None and "FunControl" in kind:
        raise CheckpointError(
            f"{name} is made for {kind}, which the installed diffusers does not have; use a VACE checkpoint, which "
            "follows a scene as well"
        )
    if pipeline is None:
        raise CheckpointError(
            f"the installed diffusers has no {kind}, which {name} needs; update it: pip install -U diffusers"
        )
    if not pipeline.makes_video:
        raise CheckpointError(
            f"{name} is a checkpoint of {kind}, which makes no video; give one of a video model, such as Wan or LTX"
        )
    if "prompt" not in pipeline.call:
        raise CheckpointError(f"{name} is a checkpoint of {kind}, which takes no text; give one that does")
    return pipeline


def _check_installed(name: str, pipeline: sources.Pipeline, parts: Mapping[str, Part]) -> None:
    """Refuse what would break off halfway for want of a package."""
    needed = set(pipeline.needs) | {module for part in parts.values() for module in sources.model_needs(part.kind)}
    if "safety_checker" in pipeline.parts:
        needed.add(GUARDRAIL)
    lacking = sorted(module for module in needed if importlib.util.find_spec(module) is None)
    if lacking:
        why = "; its licence forbids to leave it out" if lacking == [GUARDRAIL] else ""
        raise CheckpointError(
            f"{name} needs {' and '.join(lacking)}, which is not installed{why}; run: pip install {' '.join(lacking)}"
        )


def read_header(path: Path) -> Header:
    """What a safetensors file holds. Raises CheckpointError for one that is damaged or cut short."""
    again = "fetch it again"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(_HEADER_MOST, size - 8):
                raise CheckpointError(f"{path} is no safetensors file, or was cut short; {again}")
            table = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"the header of {path} is damaged; {again}") from error
    tensors, ends, metadata = {}, 0, {}
    try:
        for key, entry in table.items():
            if key == "__metadata__":
                metadata = {str(name): str(value) for name, value in entry.items()}
                continue
            shape = tuple(int(n) for n in entry["shape"])
            first, last = entry["data_offsets"]
            if (last - first) * 8 < math.prod(shape) * _BITS[entry["dtype"]]:
                raise CheckpointError(f"the header of {path} says {key} is larger than its bytes; {again}")
            tensors[key] = (entry["dtype"], shape)
            ends = max(ends, last)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the header of {path} is damaged; {again}") from error
    if size != 8 + length + ends:
        raise CheckpointError(f"{path} has {size} bytes and should have {8 + length + ends}; {again}")
    return Header(path=path, tensors=tensors, metadata=metadata)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError for a file that is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; fetch the checkpoint again") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is no valid JSON ({error}); fetch it again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__} and no object; fetch it again")
    return found


def pickles_in(files: Iterable[Path]) -> list[str]:
    """Names of files that running code could hide in."""
    return sorted(path.name for path in files if path.suffix.lower() in PICKLES)


def _index(folder: Path, name: str) -> dict[str, Any]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder; give the folder that holds {INDEX}")
    if (folder / INDEX).is_file():
        return read_json(folder / INDEX)
    found = pickles_in(folder.iterdir())
    if found:
        raise CheckpointError(
            f"{name} holds {found[0]}, a pickle, which can run code and is never opened; "
            "fetch the checkpoint as safetensors in the layout of diffusers"
        )
    raise CheckpointError(
        f"{name} has no {INDEX}, so it is no checkpoint in the layout of diffusers; "
        "look for one whose name ends in -Diffusers"
    )


def _part(folder: Path, name: str, part: str, library: object, kind: object) -> Part:
    if not isinstance(library, str) or not isinstance(kind, str):
        raise CheckpointError(f"the {INDEX} of {name} says {[library, kind]!r} for {part}; fetch the checkpoint again")
    if library not in LIBRARIES and sources.pipeline_package(library) is None:
        if library == GUARDRAIL:
            return Part(name=part, library=library, kind=kind, config={})
        raise CheckpointError(f"{part} of {name} would be made by {library!r}, code that is not run here")
    if not part.isidentifier():
        raise CheckpointError(
            f"the {INDEX} of {name} has a part {part!r}, which is no name; fetch the checkpoint again"
        )
    where = folder / part
    if not where.is_dir():
        raise CheckpointError(f"{name} lacks the folder {part}; fetch the checkpoint again")
    if any(path.suffix == ".py" for path in where.iterdir()):
        raise CheckpointError(f"{part} of {name} brings its own code, which is not run; use another checkpoint")
    config: dict[str, Any] = {}
    for file in ("config.json", "scheduler_config.json", "guider_config.json"):
        if (where / file).is_file():
            config = read_json(where / file)
            break
    if "auto_map" in config:
        raise CheckpointError(f"{part} of {name} brings its own code, which is not run; use another checkpoint")
    headers = _weights(where, name, part)
    if not headers and (where / "config.json").is_file():
        found = pickles_in(where.iterdir())
        if found:
            raise CheckpointError(
                f"{part} of {name} is a pickle ({found[0]}), which can run code and is never opened; "
                "fetch the checkpoint as safetensors"
            )
        raise CheckpointError(f"{part} of {name} has no weights (.safetensors); fetch the checkpoint again")
    return Part(
        name=part, library=library, kind=kind, config={**sources.config_defaults(kind), **config}, headers=headers
    )


def _weights(where: Path, name: str, part: str) -> tuple[Header, ...]:
    """Headers of a part's weights: one file, or the shards that an index names, each holding what the index says."""
    indices = sorted(where.glob("*.safetensors.index.json"))
    plain = [path for path in indices if path.name.count(".") == 3]  # without a variant such as .fp16
    if indices:
        index = read_json((plain or indices)[0])
        table = index.get("weight_map")
        if not isinstance(table, dict) or not table:
            raise CheckpointError(f"{(plain or indices)[0]} names no weights; fetch it again")
        headers = []
        for shard in sorted({str(value) for value in table.values()}):
            if Path(shard).name != shard or not shard.endswith(".safetensors"):
                raise CheckpointError(f"{part} of {name} names {shard!r} as weights, which is no safetensors beside it")
            if not (where / shard).is_file():
                raise CheckpointError(f"{where / shard} is missing; fetch the checkpoint again")
            header = read_header(where / shard)
            lacking = [key for key, value in table.items() if value == shard and key not in header.tensors]
            if lacking:
                raise CheckpointError(
                    f"{where / shard} lacks {lacking[0]}, which the index places there: shards of different "
                    "checkpoints are mixed; fetch the checkpoint again"
                )
            headers.append(header)
        return tuple(headers)
    files = sorted(where.glob("*.safetensors"))
    if not files:
        return ()
    if any("-of-" in path.name for path in files):
        raise CheckpointError(f"{where} has shards and no index (.safetensors.index.json); fetch the checkpoint again")
    one = next((path for path in files if path.name.count(".") == 1), files[0])
    return (read_header(one),)
