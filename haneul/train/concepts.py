"""Training of the reader of concepts: captions of simulated facts, worded anew each time, and what they state.

It needs no pictures, and the text encoder stays frozen, so minutes on a CPU are enough.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from haneul.data.shards import read_meta
from haneul.model.checkpoint import Card, file_digest, load, load_into, save
from haneul.model.concepts import ConceptReader, ConceptsConfig, one_hot
from haneul.model.precision import autocast, fast_dtype
from haneul.model.text import TextEncoder
from haneul.train.captions import worded
from haneul.train.codec import split
from haneul.world.concepts import SLOTS

BATCHES = 4  #: that are drawn together and sorted by length

Say = Callable[[str], None]
FactsList = list[dict[str, Any]]  # for each clip "start:stop" -> facts


@dataclass(frozen=True, kw_only=True)
class ConceptsRecipe:
    """`budget` is in seconds of wall clock; the learning rate falls linearly over it."""

    data: Path
    text_encoder: Path
    output: Path
    budget: float = 600.0
    batch: int = 64  # captions of like length
    learning_rate: float = 1.5e-3
    held_out_every: int = 16  # every n-th shard is for measuring
    limit: int = 64  # tokens of a caption
    threads: int = 2
    seed: int = 0


def facts_in(paths: list[Path]) -> FactsList:
    """The facts of every clip of the shards."""
    return [meta["facts"] for path in paths for meta in read_meta(path)]


def draw(facts: FactsList, count: int, rng: np.random.Generator) -> tuple[list[str], list[dict[str, str]]]:
    """Captions and what they state: half of whole clips, the others of short windows and single frames."""
    texts, said = [], []
    for index in rng.integers(len(facts), size=count):
        keys = list(facts[index])
        key = keys[0] if rng.random() < 0.5 else keys[rng.integers(len(keys))]
        text, concepts = worded(facts[index][key], bool(rng.random() < 0.5), rng)
        texts.append(text)
        said.append(concepts)
    return texts, said


def sorted_batches(
    text: TextEncoder, facts: FactsList, recipe: ConceptsRecipe, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """BATCHES batches of states, masks and targets, each of captions of like length: most of a mixed one is padding."""
    texts, said = draw(facts, BATCHES * recipe.batch, rng)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for part in rng.permutation(BATCHES):
        chosen = order[part * recipe.batch : (part + 1) * recipe.batch]
        states, mask = text.encode([texts[i] for i in chosen], recipe.limit)
        longest = int(mask.sum(1).max())
        yield states[:, :longest], mask[:, :longest], one_hot([said[i] for i in chosen], SLOTS)


def loss_of(reader: ConceptReader, states: Tensor, mask: Tensor, target_BV: Tensor) -> Tensor:
    """Mean cross-entropy over slots."""
    with autocast():
        read = reader(states, mask)
    parts = zip(read.split(list(reader.sizes), -1), target_BV.split(list(reader.sizes), -1), strict=True)
    return torch.stack([F.cross_entropy(logits.float(), target) for logits, target in parts]).mean()


@torch.no_grad()
def accuracy(
    reader: ConceptReader, text: TextEncoder, texts: list[str], said: list[dict[str, str]], limit: int
) -> dict[str, float]:
    """Share of right answers for each slot, of the captions that state it; 'unsaid': of slots that are not stated, the
    share read as such."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for start in range(0, len(texts), 64):
        states, mask = text.encode(texts[start : start + 64], limit)
        read = reader.read(states, mask)
        for row, stated in zip(read, said[start : start + 64], strict=True):
            for (name, values), part in zip(reader.cfg.slots.items(), row.split(list(reader.sizes)), strict=True):
                best = int(part.argmax())
                if name in stated:
                    hits[name].append(best > 0 and values[best - 1] == stated[name])
                else:
                    hits["unsaid"].append(best == 0)
    return {name: float(np.mean(row)) for name, row in hits.items()}


def train_concepts(recipe: ConceptsRecipe, say: Say = print) -> dict[str, float]:
    """Train for the budget, from the checkpoint at `recipe.output` if there is one; writes it and returns the accuracy
    on captions of held-out clips."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    train_paths, held_paths = split(recipe.data, recipe.held_out_every)
    facts, held = facts_in(train_paths), facts_in(held_paths)
    text = TextEncoder.load(recipe.text_encoder).to(fast_dtype())
    reader, seen = ConceptReader(ConceptsConfig(slots=dict(SLOTS), text=text.width)), 0
    if recipe.output.exists():
        tensors, before = load(recipe.output, "concepts")
        load_into(reader, tensors, recipe.output)
        seen = int(before.recipe.get("captions", 0))
    else:
        reader.standardise(*text.encode(draw(facts, 512, np.random.default_rng(0))[0], recipe.limit))
    checks = draw(held, 1024, np.random.default_rng(1))
    rng = np.random.default_rng([recipe.seed, seen])  # going on, it draws other captions than before
    optimiser = torch.optim.AdamW(
        reader.parameters(), recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    begin, step, told = time.monotonic(), 0, 0.0
    while (elapsed := time.monotonic() - begin) < recipe.budget:
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / 100) * max(0.01, 1 - elapsed / recipe.budget)
        for states, mask, target in sorted_batches(text, facts, recipe, rng):
            loss = loss_of(reader, states, mask, target)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimiser.step()
            step += 1
        if elapsed - told > 60:
            told = elapsed
            scores = accuracy(reader, text, checks[0][:256], checks[1][:256], recipe.limit)
            worst = ", ".join(f"{k} {100 * v:.0f}%" for k, v in sorted(scores.items(), key=lambda kv: kv[1])[:5])
            say(f"concepts: {elapsed / 60:.0f} min, {step * recipe.batch} captions, loss {loss:.4f}, lowest: {worst}")
    scores = accuracy(reader, text, *checks, recipe.limit)
    say("concepts: " + ", ".join(f"{k} {100 * v:.1f}%" for k, v in scores.items()))
    card = Card(
        part="concepts",
        preset="concepts",
        config=asdict(reader.cfg),
        recipe={
            "budget": recipe.budget, "captions": seen + step * recipe.batch, "learning_rate": recipe.learning_rate,
            "text_encoder_sha256": file_digest(recipe.text_encoder),
        },
        evaluation={"captions_of_held_out_clips": {k: round(v, 4) for k, v in scores.items()}},
        trained=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    recipe.output.parent.mkdir(parents=True, exist_ok=True)
    save(recipe.output, reader.state_dict(), card, dtype=torch.float16)
    return scores
