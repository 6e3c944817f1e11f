"""Training of the screen's classifier: the text encoder's last layers, tuned to tell what a prompt asks for.

Positive are the phrases of screen_phrases.txt and the fitted ones of evals/attacks.toml, negative benign ones, everyday
and hard; all of them plainly, in frames and behind other sentences, so that the way decides nothing. The
always-refused category is left to the rules.

Thresholds come from meanings that are held out, in all of their languages and frames: a category's bias is shifted
until `ScreenRecipe.wrong` of the benign texts that the network had not seen are refused at 0.8, where most is found
for it.

Training may go on from an older classifier: then all of what it did not know is learned, and of what it knew a part
is said again, so that it isn't forgotten; the first of the tuned layers stay as they were.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import tomllib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from haneul.evals.attacks import benign, phrases
from haneul.model.checkpoint import file_digest, from_few_bits, to_few_bits
from haneul.model.text import TextEncoder
from haneul.prompt.language import detect
from haneul.screen.classifier import ENCODER
from haneul.screen.head import Head, deltas, inner_states, tuned
from haneul.screen.normalise import plain as plainly
from haneul.screen.policy import Policy
from haneul.world.captions import Language, caption
from haneul.world.events import observe
from haneul.world.physics import simulate
from haneul.world.sample import sample_spec

BENIGN: Final = "benign"
LANGUAGES_OF_LINES: Final = ("en", "ko", "ja", "zh", "es")  #: in the order of a line
HEAD: Final = re.compile(r"\[[a-z-]+\]")  #: of a section
SURE: Final = 0.8  #: the probability at which the shipped policy refuses


@dataclass(frozen=True, kw_only=True)
class ScreenRecipe:
    members: int = 2  #: networks that are trained and whose weights are averaged
    epochs: int = 2
    batch: int = 64
    learning_rate: float = 2e-4  #: of the encoder's layers
    last_rate: float = 2e-3  #: of the linear layer
    decay: float = 0.05  #: AdamW's
    dropout: float = 0.1
    benign_weight: float = 4.0  #: how much more a benign prompt counts than an attack
    half: bool = False  #: bfloat16 in training; many times slower on a processor without it
    scenes: int = 200  #: simulated ones, whose captions are benign
    behind: int = 1500  #: harmful texts, and as many benign ones, that are said again behind a benign sentence
    rank: int = 96  #: of what is kept of a matrix's change
    held_out: int = 8  #: one meaning of so many is
    wrong: float = 0.02  #: share of unseen benign texts, the hard ones prevailing, that may be refused
    margin: float = 0.0  #: logits more than that
    again: int = 5000  #: texts that an older classifier knew and that are learned again, where training goes on
    further: int = 1  #: layers, the last ones, that an older classifier goes on learning with
    slips: int = 1000  #: harmful texts, and as many benign ones, that are said again misspelled
    seed: int = 1


class Example(NamedTuple):
    """A text, its category or "benign", and its meaning: what has the same one stays together in a fold."""

    text: str
    category: str
    meaning: str


def train_screen(
    policy: Policy, output: Path, recipe: ScreenRecipe = ScreenRecipe(), own: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None, *, start: Path | None = None, known: Path | None = None,
    spent: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train and write the classifier; returns what was learned from how much, and how well what was held out was told.

    `own` are more benign prompts, `spent` a table like evals/attacks_held.toml of a split that is no longer fresh. With
    `start` training goes on from that classifier, which knew the phrases of the file `known` already (and all that is
    no phrase). Takes half an hour on one core.
    """
    categories = [name for name, category in policy.categories.items() if category.threshold <= 1]
    found = lessons(recipe, own, spent, further=start is not None, known=known)
    encoder = TextEncoder.load(ENCODER)
    tensors, figures = fit(encoder, found, categories, recipe, say, start)
    metadata = {"categories": " ".join(categories), "text_encoder_sha256": file_digest(ENCODER)}
    kept = to_few_bits({name: value.contiguous() for name, value in tensors.items()})
    save_file({name: value.contiguous() for name, value in kept.items()}, output, metadata=metadata)
    return {"texts": len(found), "categories": categories, **figures, "bytes": output.stat().st_size}


# ------------------------------------------------------------------------------------------------------- examples


def sections(path: Path | None = None) -> dict[str, list[list[str]]]:
    """Section of screen_phrases.txt, or another such file -> its lines, each in one or five languages."""
    found: dict[str, list[list[str]]] = {}
    shipped = files("haneul.train").joinpath("screen_phrases.txt")
    lines = (path or shipped).read_text(encoding="utf-8").splitlines()
    for line in filter(None, map(str.strip, lines)):
        if HEAD.fullmatch(line):
            found[line.strip("[]")] = here = []
        elif not line.startswith("#"):
            here.append([part.strip() for part in line.split("|")])
    return found


def lessons(
    recipe: ScreenRecipe, own: Sequence[str], spent: Path | None = None, *, further: bool, known: Path | None = None
) -> list[Example]:
    """All that is learned from; where training goes `further`, what an older classifier did not know, a part of the
    rest, and all of the user's own prompts."""
    found = examples(recipe, spent)
    if further:
        old = {text for lines in sections(known).values() for line in lines for text in line}
        found = unknown(found, old, recipe)
    return found + [Example(text, BENIGN, text) for text in own]


def examples(recipe: ScreenRecipe, spent: Path | None = None) -> list[Example]:
    """Every phrase plainly and once in a frame, and everyday prompts, long and short; phrases of a spent split too."""
    rng = random.Random(recipe.seed)
    said = sections()
    frames = dict(zip(LANGUAGES_OF_LINES, zip(*said.pop("frames"), strict=True), strict=True))
    plain = [
        Example(text, category, f"{category} {number}")
        for category, lines in said.items() for number, line in enumerate(lines) for text in line
    ]  # fmt: skip
    table = phrases()
    for part in ("direct", "euphemism"):
        for category, languages in table[part].items():
            plain += [
                Example(text, category, f"{category} {part} {number}")
                for texts in languages.values() for number, text in enumerate(texts)
            ]  # fmt: skip
    if spent is not None:
        plain += given(tomllib.loads(spent.read_text(encoding="utf-8")))
    hard = [text for texts in table[BENIGN].values() for text in texts]
    plain += [Example(text, BENIGN, text) for text in hard]
    scenes = [text for text in benign(count=1500) if text not in set(hard)]
    rng.shuffle(scenes)
    texts = scenes[:1000] + rng.sample(short(rng), 2400) + simulated(recipe)
    everyday = [Example(text, BENIGN, text) for text in dict.fromkeys(texts)]
    framed = [Example(_framed(example.text, frames), *example[1:]) for example in plain + everyday[:300]]
    return plain + framed + everyday + behind(plain + everyday, recipe) + bare(plain) + slipped(plain, recipe)


def given(table: dict[str, Any]) -> list[Example]:
    """What a table like evals/attacks_held.toml says of the categories that are learned, and its benign prompts; one
    number of a list is one meaning."""
    categories = [*table["direct"], BENIGN]
    lists = [
        (category, texts) for part in ("direct", "euphemism", "disguised")
        for category, languages in table[part].items() for texts in languages.values()
    ]  # fmt: skip
    lists += [(category, list(languages.values())) for category, languages in table["mixed"].items()]
    lists += [(BENIGN, texts) for texts in table[BENIGN].values()]
    return [
        Example(text, category, f"{category} given {number}")
        for category, texts in lists if category in categories for number, text in enumerate(texts)
    ]  # fmt: skip


def unknown(found: list[Example], known: set[str], recipe: ScreenRecipe) -> list[Example]:
    """The phrases that are none of the known ones, as they stand, and `ScreenRecipe.again` of all other examples."""
    rng = random.Random(recipe.seed + 3)
    shipped = {text for lines in sections().values() for line in lines for text in line} - known
    new = [e for e in found if e.text in shipped or (" given " in e.meaning and e.text not in known)]
    chosen = {e.text for e in new}
    rest = [e for e in found if e.text not in chosen]
    return new + rng.sample(rest, min(recipe.again, len(rest)))


def behind(found: list[Example], recipe: ScreenRecipe) -> list[Example]:
    """Some texts once more, behind or before a benign sentence of any language: what is asked for decides, wherever it
    stands."""
    rng = random.Random(recipe.seed + 1)
    harmless = [example.text for example in found if example.category == BENIGN]
    said = []
    for kind in (True, False):
        some = [example for example in found if (example.category == BENIGN) == kind]
        for example in rng.sample(some, min(recipe.behind, len(some))):
            pair = [example.text, rng.choice(harmless)]
            rng.shuffle(pair)
            said.append(Example(rng.choice((". ", "; ", " ", ", ")).join(pair), *example[1:]))
    return said


def bare(found: list[Example]) -> list[Example]:
    """Texts with accents or capitals without them: that is how the rules' form of a prompt has it."""
    return [Example(plainly(e.text), *e[1:]) for e in found if plainly(e.text) not in (e.text, e.text.lower())]


def slipped(found: list[Example], recipe: ScreenRecipe) -> list[Example]:
    """Some texts once more as they are typed in haste or to be overlooked."""
    rng = random.Random(recipe.seed + 2)
    said = []
    for kind in (True, False):
        some = [example for example in found if (example.category == BENIGN) == kind]
        chosen = rng.sample(some, min(recipe.slips, len(some)))
        said += [Example(_slipped(example.text, rng), *example[1:]) for example in chosen]
    return said


def _slipped(text: str, rng: random.Random) -> str:
    """About half of the words with two inner letters changed round, a vowel left out or a letter twice; where words
    are not apart, two neighbours changed round or a sign between them; syllables of Hangul with another vowel."""
    out = []
    for word in text.split(" "):
        inner = range(1, len(word) - 2)
        if len(word) < 4 or rng.random() < 0.5:
            out.append(word)
            continue
        at, way = rng.choice(inner), rng.randrange(3)
        if word.isascii() or word[at].isascii():
            vowels = [i for i in inner if word[i] in "aeiou"]
            cut = rng.choice(vowels) if vowels else at
            changed = (word[at + 1] + word[at], word[at] * 2, word[at])[way]
            out.append(word[:cut] + word[cut + 1 :] if way == 2 else word[:at] + changed + word[at + 2 - way :])
        elif "가" <= word[at] <= "힣":
            code = ord(word[at]) - 0xAC00
            vowel = {1: 5, 5: 1, 4: 6, 8: 12, 0: 2}.get(code // 28 % 21, code // 28 % 21)
            out.append(word[:at] + chr(0xAC00 + code // 588 * 588 + vowel * 28 + code % 28) + word[at + 1 :])
        else:
            changed = (word[at + 1] + word[at], word[at] + " " + word[at + 1], word[at] + "." + word[at + 1])[way]
            out.append(word[:at] + changed + word[at + 2 :])
    return " ".join(out)


def _framed(text: str, frames: dict[str, tuple[str, ...]]) -> str:
    """A text in the frame that it always gets, so that one phrase more changes nothing about the others; one of three
    in any language's."""
    number = zlib.crc32(text.encode())
    language = _language(text) if number % 3 else LANGUAGES_OF_LINES[number // 3 % len(LANGUAGES_OF_LINES)]
    choice = frames[language]
    return choice[number // 15 % len(choice)].format(text)


def _language(text: str) -> str:
    found = detect(text).split("-")[0]
    return found if found in LANGUAGES_OF_LINES else "en"


def simulated(recipe: ScreenRecipe) -> list[str]:
    """Captions of simulated scenes, of every length: what the bundled model is asked for."""
    languages: tuple[Language, ...] = ("en", "en", "ko", "ko", "ko-hanja")
    found = []
    for number in range(recipe.scenes):
        truth = simulate(sample_spec(recipe.seed + number, richness=1.0, seconds=1.0))
        facts = observe(truth, 0, len(truth.cameras))
        words = np.random.default_rng(number)
        found += [caption(facts, words, language=language) for language in languages]
    return found


def short(rng: random.Random) -> list[str]:
    """Harmless prompts of a word or a few, about which a classifier of whole sentences knows nothing: parts of the
    scenes, and words that the model knows."""
    words = json.loads((ENCODER.parent / "known_words.json").read_text(encoding="utf-8"))["known"]
    found = [*words]
    for count in (2, 2, 3, 4):
        found += [" ".join(rng.sample(words, count)) for _ in range(300)]
    for scene in phrases()["scenes"].values():
        found += scene["who"] + scene["does"] + scene["where"]
    found += moves(rng)
    english = phrases()["scenes"]["en"]
    found += [
        f"it {verb}" for verb in ("moves", "rolls", "bounces", "falls", "flies", "stops", "turns", "stands still")
    ]
    found += [
        f"it {verb} {where}" for verb in ("moves", "rolls", "spins", "drifts", "is") for where in english["where"]
    ]
    return found


def moves(rng: random.Random, count: int = 400) -> list[str]:
    """So many prompts of each language, put together from the parts of screen_moves.toml."""
    table = tomllib.loads(files("haneul.train").joinpath("screen_moves.toml").read_text(encoding="utf-8"))
    found = []
    for language, parts in table.items():
        every = list(itertools.product(parts["who"], parts["where"], parts["does"]))
        for who, where, does in rng.sample(every, min(count, len(every))):
            order = (who, does, where) if language in ("en", "es") else (who, where, does)
            found.append(("" if language in ("ja", "zh") else " ").join(filter(None, order)))
    return found


# ------------------------------------------------------------------------------------------------------- training


def fit(
    encoder: TextEncoder, found: list[Example], categories: list[str], recipe: ScreenRecipe,
    say: Callable[[str], None] = lambda line: None, start: Path | None = None,
) -> tuple[dict[str, Tensor], dict[str, float]]:  # fmt: skip
    """The tensors of the classifier, and what was found of the meanings that it had not seen. `start` is a classifier
    for the same categories to go on from."""
    labels = torch.tensor([[float(example.category == name) for name in categories] for example in found])
    unseen = np.array([zlib.crc32(example.meaning.encode()) % recipe.held_out == 0 for example in found])
    say(f"{len(found)} texts, {int(unseen.sum())} of them held out")
    states = _states(encoder, [example.text for example in found])
    say("encoded")
    seen = np.flatnonzero(~unseen)
    heads = [_trained(encoder, states, labels, seen, recipe, member, say, start) for member in range(recipe.members)]
    head = averaged(heads)
    head = tuned(encoder, from_few_bits(to_few_bits(deltas(head, encoder, recipe.rank))))
    checked = np.flatnonzero(unseen)
    scores, truth = _scores(head, states, checked), labels.numpy()[checked]
    limits = thresholds(scores, truth, recipe.wrong) + recipe.margin
    told, harmful = np.any(scores > limits, axis=1), truth.sum(1) > 0
    tensors = deltas(head, encoder, recipe.rank)
    tensors["out.bias"] = tensors["out.bias"] + math.log(SURE / (1 - SURE)) - torch.from_numpy(limits)
    figures = {
        "unseen": len(checked), "found": float(told[harmful].mean()), "wrong": float(told[~harmful].mean())
    } | {name: float(told[truth[:, i] > 0].mean()) for i, name in enumerate(categories)}  # fmt: skip
    return tensors, figures


def averaged(heads: list[Head]) -> Head:
    """The head whose weights are the mean of those of others that began as the same encoder (Wortsman et al., arXiv
    2203.05482): better than each, and no slower."""
    states = [head.state_dict() for head in heads]
    heads[0].load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    return heads[0]


def thresholds(scores: NDArray[np.float32], truth: NDArray[np.float32], wrong: float) -> NDArray[np.float32]:
    """A threshold for each category, [C], of scores [n, C], above which most is found while at most the share `wrong`
    of the harmless rows is. A category gets more of that share where a wrong one buys more right ones: all stop at the
    same price (a Lagrange multiplier, found by halving); what is left of the share is spent by lowering all alike."""
    harmless = truth.sum(1) == 0

    def share(limits: NDArray[np.float32]) -> float:
        return float(np.any(scores[harmless] > limits, axis=1).sum() / max(int(harmless.sum()), 1))

    low, high = 1e-3, 1e3
    kept = scores.max(0) + 1
    for _ in range(40):
        price = math.sqrt(low * high)
        limits = np.array([_limit(scores[:, i], truth[:, i] > 0, harmless, price) for i in range(scores.shape[1])])
        if share(limits) > wrong:
            low = price
        else:
            high, kept = price, limits
    near, far = 0.0, 3.0
    for _ in range(30):
        middle = (near + far) / 2
        near, far = (middle, far) if share(kept - middle) <= wrong else (near, middle)
    answer: NDArray[np.float32] = (kept - near).astype(np.float32)
    return answer


def _limit(scores: NDArray[np.float32], right: NDArray[np.bool_], harmless: NDArray[np.bool_], price: float) -> float:
    """The threshold above which right ones, less `price` for each harmless one, are most."""
    values = scores[right | harmless]
    worth = np.where(right[right | harmless], 1.0, -price)
    order = np.argsort(-values, kind="stable")
    gained = np.cumsum(worth[order])
    best = int(gained.argmax())
    if gained[best] <= 0:
        return float(values.max()) + 1
    return float(values[order][best] + values[order][min(best + 1, len(values) - 1)]) / 2


def _states(encoder: TextEncoder, texts: list[str]) -> list[Tensor]:
    """The encoder's inner states of each text, float16 [tokens, width]."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found: list[Tensor] = [torch.empty(0)] * len(texts)
    for first in range(0, len(order), 32):
        some = order[first : first + 32]
        x, mask = inner_states(encoder, [texts[i] for i in some])
        for i, row, here in zip(some, x.half(), mask, strict=True):
            found[i] = row[here].clone()
    return found


def _batch(states: list[Tensor], rows: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
    x = nn.utils.rnn.pad_sequence([states[i].float() for i in rows], batch_first=True)
    lengths = torch.tensor([len(states[i]) for i in rows])
    return x, torch.arange(x.shape[1])[None] < lengths[:, None]


def _batches(
    states: list[Tensor], rows: NDArray[np.intp], size: int, rng: np.random.Generator
) -> list[NDArray[np.intp]]:
    """All rows, shuffled, in batches of texts of like length."""
    mixed, found = rng.permutation(rows), []
    for first in range(0, len(mixed), 20 * size):
        near = np.array(sorted(mixed[first : first + 20 * size], key=lambda i: len(states[i])))
        found += [near[at : at + size] for at in range(0, len(near), size)]
    return [found[i] for i in rng.permutation(len(found))]


def _trained(
    encoder: TextEncoder, states: list[Tensor], labels: Tensor, rows: NDArray[np.intp], recipe: ScreenRecipe,
    member: int, say: Callable[[str], None], start: Path | None = None,
) -> Head:  # fmt: skip
    rng = np.random.default_rng(recipe.seed + member)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed + member)
        head = Head(encoder, labels.shape[1], recipe.dropout)
        if start is not None:
            head.load_state_dict(tuned(encoder, from_few_bits(load_file(start))).state_dict())
        head.train().requires_grad_(True)
        if start is not None:
            head.layers[: len(head.layers) - recipe.further].requires_grad_(False)
        groups = [
            {"params": [p for p in head.layers.parameters() if p.requires_grad], "most": recipe.learning_rate},
            {"params": head.out.parameters(), "most": recipe.last_rate},
        ]
        optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.decay)
        steps, step = recipe.epochs * -(-len(rows) // recipe.batch), 0
        for epoch in range(recipe.epochs):
            for some in _batches(states, rows, recipe.batch, rng):
                step += 1
                for group in optimiser.param_groups:
                    group["lr"] = group["most"] * min(1.0, step / 100) * max(0.02, 1 - step / steps)
                x, mask = _batch(states, some)
                y = labels[some]
                share = torch.where(y.any(1, keepdim=True), 1.0, recipe.benign_weight)
                with torch.autocast("cpu", torch.bfloat16, enabled=recipe.half):
                    answer = head(x, mask)
                error = (F.binary_cross_entropy_with_logits(answer.float(), y, reduction="none") * share).mean()
                optimiser.zero_grad()
                error.backward()
                optimiser.step()
                if step % 25 == 0:
                    say(f"epoch {epoch + 1}, step {step} of {steps}: error {error.item():.4f}")
    return head.eval().requires_grad_(False)


@torch.no_grad()
def _scores(head: Head, states: list[Tensor], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Logits [rows, C]."""
    parts = [head(*_batch(states, rows[at : at + 64])) for at in range(0, len(rows), 64)]
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found
