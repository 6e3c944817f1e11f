"""Proof of what a model learned from: clips of its ledger, made again and compared by their hashes.

A model that was trained on a stream (stream.py) has a ledger beside its weights: the seed of every clip and its leaf.
The root over the leaves is in the weights' card, and from there in the credentials of every video. The simulator makes
the same bytes from the same seed on other machines too (docs/log.md), so anybody can check any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haneul.data.ledger import LEDGER, merkle_root, read_seeds, simulated
from haneul.errors import CheckpointError
from haneul.model.checkpoint import load
from haneul.world.produce import Plan, render_clip


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One clip made again: whether it is, byte for byte, the one that the ledger names."""

    seed: int
    event: str
    setting: str
    same: bool


def plan_of(recipe: dict[str, str]) -> Plan:
    """The plan that a card's recipe tells of. Raises CheckpointError when it tells of none."""
    try:
        told = json.loads(recipe["plan"])
        return Plan(**{**told, "sizes": tuple((w, h) for w, h in told["sizes"])})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError("these weights do not tell how their clips were made") from error


def prove(weights: Path, *, clips: int, seed: int = 0) -> Iterator[Proof]:
    """Make `clips` clips again that the transformer in the folder `weights` learned from, drawn by `seed`.

    Raises CheckpointError when the ledger's root is not the one in the card, InputError when there is no ledger.
    """
    _, card = load(weights / "dit.safetensors", "dit")
    ledger = read_seeds(weights / LEDGER)
    if merkle_root(ledger.values()) != card.data_ledger_root:
        raise CheckpointError(f"{weights / LEDGER} is not the ledger that the weights' card names")
    plan = plan_of(card.recipe)
    seeds = list(ledger)
    for i in np.random.default_rng(seed).permutation(len(seeds))[:clips]:
        yield _again(seeds[i], ledger[seeds[i]], plan)


def _again(seed: int, leaf: bytes, plan: Plan) -> Proof:
    spec = plan.spec_of(seed)
    clip = render_clip(spec, plan.size_of(plan.number_of(seed)))
    same = simulated(clip.video_THW3.tobytes(), seed).digest() == leaf
    return Proof(seed=seed, event=spec.event, setting=spec.setting, same=same)
