"""What our own model reads of a prompt: text states, concepts, what is filled in, and words that it never learned."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from haneul.backbones.base import Request
from haneul.errors import CheckpointError
from haneul.model.concepts import ConceptReader, one_hot
from haneul.model.text import Text, TextEncoder
from haneul.prompt.expand import Scenes, read_scenes
from haneul.prompt.language import unknown

NEAREST = 3  #: known words that are suggested for an unknown one
_HANGUL = re.compile("[가-힣]")
_PLAIN = re.compile("[a-z가-힣]")  # a letter of one of the two scripts that suggestions are made in


class Reading:
    """Text encoder and, for models that read concepts, their reader; the tables beside them are read when needed."""

    def __init__(self, folder: Path, text: TextEncoder, concepts: ConceptReader | None) -> None:
        self.folder, self.text, self.concepts = folder, text, concepts
        self._scenes: Scenes | None = None
        self._last: tuple[tuple[list[str], str], Text] | None = None

    def encode(self, prompts: list[str], remember: str = "") -> Text:
        """The prompts as the transformer reads them; where they are silent, what is remembered. The last answer is
        kept: what was understood is told first, and then made."""
        if self._last is None or self._last[0] != (prompts, remember):
            self._last = (list(prompts), remember), self._encode(prompts, remember)
        return self._last[1]

    def _encode(self, prompts: list[str], remember: str) -> Text:
        if remember and self.concepts is None:  # a model of words alone hears it as one more sentence
            prompts = [f"{prompt} {remember}" for prompt in prompts]
        states, mask = self.text.encode(prompts)
        concepts = None if self.concepts is None else self.concepts.read(states, mask)
        if remember and self.concepts is not None and concepts is not None:
            concepts = self.concepts.carry(concepts, self.concepts.read(*self.text.encode([remember])))
        return Text(states=states, mask=mask, concepts=concepts)

    def complete(self, text: Text, seeds: Sequence[int | None], fixed: Mapping[str, str | None] | None = None) -> Text:
        """A text whose open slots hold what is fixed, and then what scenes add, one seed for each prompt (None adds
        nothing)."""
        if self.concepts is None or text.concepts is None:
            return text
        rows = []
        for row, seed in zip(text.concepts, seeds, strict=True):
            added = one_hot([self._added(row, seed, fixed or {})], self.concepts.cfg.slots)[0]
            parts = zip(*(x.split(list(self.concepts.sizes)) for x in (row, added)), strict=True)
            rows.append(torch.cat([said if float(new[0]) else new for said, new in parts]))
        return replace(text, concepts=torch.stack(rows))

    def _added(self, concepts_V: Tensor, seed: int | None, fixed: Mapping[str, str | None]) -> dict[str, str]:
        """What is fixed, and unless there is no seed what a scene adds, where these concepts are silent."""
        assert self.concepts is not None
        said = {name: value for name, (value, _) in self.concepts.named(concepts_V).items()}
        held = {name: value for name, value in fixed.items() if value is not None and name not in said}
        if seed is None:
            return held
        if self._scenes is None:
            self._scenes = read_scenes(self.folder / "scenes.json")
            if self._scenes.slots != self.concepts.cfg.slots:
                raise CheckpointError(f"scenes and concepts of {self.folder} do not belong together; fetch both again")
        added = self._scenes.add(said | held, seed)
        return held | {name: value for name, value in added.items() if name not in fixed}

    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """See `Capabilities.vocabulary`."""
        return {} if self.concepts is None else {slot: tuple(v) for slot, v in self.concepts.cfg.slots.items()}

    def understood(self, prompt: str, remember: str = "") -> dict[str, tuple[str, float]]:
        """See `Backbone.understood`."""
        if self.concepts is None:
            return {}
        concepts = self.encode([prompt], remember).concepts
        assert concepts is not None
        return self.concepts.named(concepts[0])

    def expanded(self, request: Request) -> dict[str, str]:
        """See `Backbone.expanded`."""
        concepts = self.encode([request.prompt], request.remember).concepts
        if concepts is None:
            return {}
        return self._added(concepts[0], request.seed if request.expand else None, request.fixed)

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        """See `Backbone.unknown_words`; the nearest ones are of the word's own script (the prompt's, if it is another).

        Nearness is the cosine of mean token states, less the mean of all known words: what all words share, which is
        most of a state, says nothing (docs/log.md).
        """
        path = self.folder / "known_words.json"
        try:
            known: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise CheckpointError(f"{path} cannot be read ({err}); reinstall haneul") from err
        strange = unknown(prompt, frozenset(known["known"]))
        found: dict[str, list[str]] = {}
        for korean in (False, True):
            names = [name for name in known["nearest"] if bool(_HANGUL.search(name)) == korean]
            here = [w for w in strange if bool(_HANGUL.search(w if _PLAIN.search(w) else prompt)) == korean]
            if here and names:
                vectors = self._word_vectors(names)
                middle = vectors.mean(0)
                a, b = (F.normalize(v - middle, dim=-1) for v in (self._word_vectors(here), vectors))
                order = (a @ b.T).argsort(1, descending=True)[:, :NEAREST]
                found |= {word: [names[int(j)] for j in row] for word, row in zip(here, order, strict=True)}
        return {word: found.get(word, []) for word in strange}

    def _word_vectors(self, words: list[str]) -> Tensor:
        """[n, width]: the mean of each word's token states, without the sentence marks."""
        states, mask = self.text.encode(words)
        inner = mask.clone()
        inner[:, 0] = False
        inner[torch.arange(len(words)), mask.sum(1) - 1] = False
        return (states * inner[..., None]).sum(1) / inner.sum(1, keepdim=True).clamp(min=1)
