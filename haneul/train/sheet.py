"""Sample sheets: what the model makes of fixed prompts, as one PNG a row each."""

from __future__ import annotations

import numpy as np
import torch

from haneul.model.checkpoint import load, load_into
from haneul.model.codec import Codec
from haneul.model.concepts import one_hot
from haneul.model.modes import sample, text_to_video
from haneul.model.precision import autocast
from haneul.model.text import Text
from haneul.train.loop import Run
from haneul.video.picture import write_picture
from haneul.world.concepts import SLOTS
from haneul.world.grammar import parse

PROMPTS = (
    "A red rubber ball bounces down grey stairs in a desert at sunset.",
    "A blue car drives to the right through snow at noon.",
    "A yellow ball rolls to the left in a forest.",
    "A green pendulum swings in an art gallery.",
    "A robot walks through a cyberpunk city at night.",
    "A purple box floats on the sea.",
    "빨간 공이 눈밭에서 튄다.",
    "An orange cube next to a cyan ball on a tiled plaza, watercolor.",
    "A white bird flies over the sea at sunset.",
    "A pink ball drifts in outer space.",
)


def prompts_of(run: Run) -> Text:
    """The fixed prompts as the model reads them; concepts are those that the world's own grammar finds."""
    states = mask = concepts = None
    if run.text is not None:
        states, mask = (part.cpu() for part in run.text.encode(list(PROMPTS), run.recipe.text_length))
        states = states.float()
    if run.model.concepts is not None:
        attributes = [parse(prompt).attributes for prompt in PROMPTS]
        said = [{slot: str(found[slot]) for slot in SLOTS if slot in found} for found in attributes]
        concepts = one_hot(said, SLOTS)
    return Text(states=states, mask=mask, concepts=concepts)


def write_sheet(run: Run, frames: int = 5, columns: int = 9) -> None:
    """Sample every prompt with the averaged weights into `folder/sheet-<step>.png`."""
    r = run.recipe
    tensors, _ = load(r.codec, "codec")
    codec = Codec(r.preset.codec)
    load_into(codec, tensors, r.codec)
    w, h = (s // 16 for s in r.preset.base_size)
    start = text_to_video(
        batch=len(PROMPTS),
        channels=r.preset.dit.latent,
        frames=frames,
        h=h,
        w=w,
        fps=r.preset.base_fps,
        generator=torch.Generator().manual_seed(1),
    )
    with torch.no_grad(), autocast():
        z = sample(run.ema.cpu(), prompts_of(run), start, how=r.sampling)
        video = codec.decode(z).float().clamp(-1, 1)
    run.ema.to(r.device)
    picks = np.linspace(0, video.shape[2] - 1, columns).round().astype(int)
    rows = [torch.cat([clip[:, i] for i in picks], 2) for clip in video]
    sheet = ((torch.cat(rows, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    large = sheet.repeat(2, 0).repeat(2, 1)
    write_picture(large, r.folder / f"sheet-{run.step:07d}.png", overwrite=True)
