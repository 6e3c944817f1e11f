"""What a checkpoint can do, as a text: `haneul models show`. Nothing is loaded for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from haneul.backbones.base import MODES
from haneul.backbones.layout import INDEX, KIND, weight_files
from haneul.backbones.open import licences, memory, modes
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.folder import Checkpoint, read_header, read_json
from haneul.errors import CheckpointError


def text(checkpoint: Checkpoint, *, seconds: float = 4.0, size: tuple[int, int] | None = None) -> str:
    """Its modes, lengths and sizes, terms, and the memory for a video of `seconds` and `size`."""
    model = Open(checkpoint)
    rules, own = model.rules, checkpoint.pipeline
    sides = rules.sides(size or rules.size)
    frames = min(rules.window, rules.length(max(1, round(seconds * rules.fps))))
    lines = [
        f"{checkpoint.name}: {own.name} of diffusers",
        f"  folder   {checkpoint.folder}",
        f"  terms    {licences.of(checkpoint).text()}",
        f"  length   {rules.step}k + 1 frames at {rules.fps} a second, up to {rules.window}"
        f" ({rules.window / rules.fps:.1f} s) at a time; up to {model.capabilities().max_seconds:.1f} s in all",
        f"  size     {rules.size[0]}x{rules.size[1]}, "
        + (
            "no other; others are resized"
            if rules.fixed
            else f"sides in multiples of {rules.multiple}; others are resized"
        ),
        f"  usually  {rules.steps} steps, guidance {rules.guidance:g}",
    ]
    lines += [
        f"  {part.name:<16} {part.kind}, {part.parameters / 1e9:.3f} billion numbers,"
        f" {part.stored_bytes / memory.GIB:.2f} GiB"
        for part in checkpoint.parts.values()
        if part.parameters
    ]
    device, dtype, free = _machine()
    found = memory.plans(checkpoint, rules, frames=frames, size=sides, device=device, dtype=dtype)
    lines.append(f"  memory   for {frames} frames of {sides[0]}x{sides[1]}, estimated:")
    lines += [f"           {plan.text()}" for plan in found]
    if free:
        lines.append(f"  here     {memory.choose(found, free).text()}")
    lines += [f"  {mode:<16} {way.state:<12} {way.how}" for mode, way in modes.table(model.calls, model.slides).items()]
    return "\n".join(lines)


def exported_text(folder: Path) -> str:
    """The same of a model of ours that was exported."""
    index = read_json(folder / INDEX)
    try:
        (width, height), fps, steps = index["base_size"], index["base_fps"], index["sampling"].get("steps", "?")
        lines = [
            f"{folder.name}: {KIND}, Haneul's own {index['preset']}; diffusers has no class for it",
            f"  folder   {folder}",
            f"  terms    {index['licence']}",
            f"  learned  from what a ledger names whose root is {index['data_ledger_root'] or 'unknown'}",
            f"  size     {width}x{height} at {fps} frames a second, which an upscaler makes larger and doubles",
            f"  usually  {steps} steps, guidance {index['sampling'].get('guidance', '?')}",
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / INDEX} is damaged ({error}); fetch the model again") from error
    for path in weight_files(folder):
        header, kind = read_header(path), index.get(path.parent.name, ["", "?"])[1]
        stored = path.stat().st_size / memory.GIB
        lines.append(
            f"  {path.parent.name:<16} {kind}, {header.parameters / 1e9:.3f} billion numbers, {stored:.2f} GiB"
        )
    lines += [f"  {mode:<16} {'native':<12} one noise level for each token" for mode in MODES]
    return "\n".join(lines)


def _machine() -> tuple[str, str, int]:
    """Device, precision and free bytes of this machine; without the extra's packages, a graphics card's usual ones."""
    if importlib.util.find_spec("psutil") is None:
        return "cuda", "bfloat16", 0
    from haneul.backbones.open.device import free_memory, usual_device
    from haneul.model.precision import fast_dtype

    device = usual_device()
    return device, str(fast_dtype(device)).removeprefix("torch."), free_memory(device)
