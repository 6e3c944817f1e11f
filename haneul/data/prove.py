"""Proof of what a model learned from: clips of its ledger, made again and compared by their hashes.

A model that was trained on a stream (stream.py) has a ledger beside its weights: the seed of every clip and its leaf.
The root over the leaves is in the weights' card, and from there in the credentials of every video. The simulator makes
the same bytes from the same seed on other machines too (docs/log.md), so anybody can check any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haneul.data.ledger import LEDGER, merkle_root, read_seeds, simulated
from haneul.errors import CheckpointError
from haneul.model.checkpoint import load
from haneul.world.produce import Plan, plan_from, render_clip


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One clip made again: whether it is, byte for byte, the one that the ledger names."""

    seed: int
    event: str
    setting: str
    same: bool


def plans_of(recipe: dict[str, str]) -> list[Plan]:
    """The plans that a card's recipe tells of: its own, if the clips were made while it trained, and those of the
    weights that it began with."""
    try:
        told = [json.loads(recipe["plan"])] if "plan" in recipe else []
        told += json.loads(recipe.get("begin_plans", "[]"))
        plans = [plan_from(plan) for plan in told]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"these weights do not tell how their clips were made ({error})") from error
    return list(dict.fromkeys(plans))


def plan_for(plans: Sequence[Plan], seed: int) -> Plan:
    """The one of some plans that a clip's seed is of. Raises CheckpointError when it is of none."""
    for plan in plans:
        if 0 <= plan.number_of(seed) < plan.clips:
            return plan
    raise CheckpointError(f"these weights do not tell how the clip of seed {seed} was made")


def prove(weights: Path, *, clips: int, seed: int = 0) -> Iterator[Proof]:
    """Make `clips` clips again that the transformer in the folder `weights` learned from, drawn by `seed`.

    Raises CheckpointError when the ledger's root is not the one in the card, InputError when there is no ledger.
    """
    _, card = load(weights / "dit.safetensors", "dit")
    ledger = read_seeds(weights / LEDGER)
    if merkle_root(ledger.values()) != card.data_ledger_root:
        raise CheckpointError(f"{weights / LEDGER} is not the ledger that the weights' card names")
    plans, seeds = plans_of(card.recipe), list(ledger)
    for i in np.random.default_rng(seed).permutation(len(seeds))[:clips]:
        yield _again(seeds[i], ledger[seeds[i]], plan_for(plans, seeds[i]))


def _again(seed: int, leaf: bytes, plan: Plan) -> Proof:
    spec = plan.spec_of(seed)
    clip = render_clip(spec, plan.size_of(plan.number_of(seed)))
    same = simulated(clip.video_THW3.tobytes(), seed).digest() == leaf
    return Proof(seed=seed, event=spec.event, setting=spec.setting, same=same)
