"""What `haneul verify` says: the report of the C2PA library in plain words, as text and as JSON.

Everything read here was written by whoever made the file. Values are checked for their type, and characters that
could steer a terminal are taken out before they are printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

GENERATION = "org.haneul.generation"  #: our own assertion
TRAINING = "cawg.training-mining"
SOFT_BINDING = "c2pa.soft-binding"

#: `recovered`: no valid signature, but its watermark leads to a record; `marked`: to none that can be read here.
State = Literal["trusted", "valid", "unsigned", "invalid", "recovered", "marked"]

_EXIT_CODES: dict[State, int] = {"trusted": 0, "valid": 0, "unsigned": 10, "invalid": 11, "recovered": 12, "marked": 13}

#: Validation codes (C2PA 2.2, section 15) by their beginning -> what they mean to a person.
_WORDS = {
    "assertion.bmffHash": "the picture, sound or structure of the file was changed after it was signed",
    "assertion.dataHash": "the content of the file was changed after it was signed",
    "assertion.hashedURI": "a statement in the credentials was changed after it was signed",
    "assertion.missing": "a statement was taken out of the credentials",
    "assertion.": "a statement in the credentials is not as the standard demands",
    "claimSignature.missing": "the signature is missing",
    "claimSignature": "the signature does not fit the credentials: they were changed, or never signed by this signer",
    "signingCredential.untrusted": "nobody here vouches for the signer",
    "signingCredential.expired": "the signer's certificate has expired, so it cannot be told whether it was valid "
    "when the file was signed",
    "signingCredential.revoked": "the signer's certificate was revoked",
    "signingCredential": "the signer's certificate may not be used for this",
    "ingredient": "a given picture or video does not fit what the credentials say about it",
    "timeStamp": "the time stamp does not hold",
    "claim": "the credentials are incomplete",
    "manifest": "the credentials are incomplete",
}
_HEADLINES: dict[State, str] = {
    "trusted": "signed by a trusted signer, unchanged since",
    "valid": "signed, unchanged since; the signer is not known here",
    "unsigned": "not signed: it carries no content credentials, so nothing can be said about its origin",
    "invalid": "NOT AS SIGNED: do not rely on what it says about itself",
    "recovered": "not as it was signed, but its watermark leads to what was signed here",
    "marked": "no valid signature, but it carries a watermark of this installation, of which no record can be read",
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding: the standard's code and what it means."""

    code: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A picture or video that was given. `state` is its own credentials' at the time of signing; None: it had none."""

    title: str
    state: str | None
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A watermark that was found in a file, and the record that it leads to."""

    id: str | None  #: None: there is a mark, too weak to be read
    z: float  #: standard deviations by which the mark stands out
    bits: float | None  #: share of the coded bits that were right
    false_alarm: float  #: bound on the chance that a file without a mark gives this
    title: str | None = None  #: of the record
    made: str | None = None
    parts_of: tuple[str, ...] = ()  #: titles of films that hold it

    def text(self) -> str:
        read = "unreadable" if self.id is None else f"{self.id}, {100 * (self.bits or 0):.0f}% of its bits right"
        sure = f"z {self.z:.1f}, chance of a false alarm at most {self.false_alarm:.0e}"
        lead = f" -> {self.title} ({self.made})" if self.title else ""
        return f"{read} ({sure}){lead}" + "".join(f", part of {title}" for title in self.parts_of)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a file is, as far as its credentials tell. None where nothing is said."""

    path: Path
    state: State
    here: bool = False  #: signed by this installation, or with the user's own certificate
    signer: str | None = None
    issuer: str | None = None
    serial: int | None = None  #: of the signing certificate
    title: str | None = None
    generator: str | None = None
    model: str | None = None
    model_licence: str | None = None  #: the terms of a model that is another's, by their name
    weights_sha256: str | None = None
    data_ledger_root: str | None = None
    mode: str | None = None
    seed: int | None = None
    prompt: str | None = None
    watermark: str | None = None
    when: str | None = None  #: as the signer states it; there is no trusted time stamp
    ai_generated: bool | None = None
    do_not_train: bool | None = None
    do_not_edit: bool | None = None  #: that no model may take it as its input
    ingredients: tuple[Ingredient, ...] = ()
    problems: tuple[Problem, ...] = ()
    bindings: tuple[str, ...] = ()  #: values of the watermark, as the credentials state them
    origins: tuple[Origin, ...] = ()  #: watermarks that were found in the frames, the surest first

    @property
    def exit_code(self) -> int:
        """0 trusted or valid, 10 unsigned, 11 invalid, 12 recovered by its watermark, 13 marked without a record."""
        return _EXIT_CODES[self.state]

    def to_json(self) -> dict[str, Any]:
        """For `json.dumps`; the names are stable."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["path"] = str(self.path)
        values["serial"] = None if self.serial is None else str(self.serial)  # more digits than JSON's numbers keep
        values["ingredients"] = [vars(i) for i in self.ingredients]
        values["problems"] = [vars(p) for p in self.problems]
        values["origins"] = [vars(o) for o in self.origins]
        return values

    def text(self) -> str:
        """For people."""
        lines = [f"{self.path}: {self._headline()}"]
        made = {True: "by an AI model", False: "no statement that an AI model made it", None: None}[self.ai_generated]
        train = {True: "not allowed", False: "allowed", None: None}[self.do_not_train]
        rows = {
            "signer": f"{self.signer} ({self.issuer})" if self.signer else None,
            "title": self.title,
            "made": made,
            "with": self.generator,
            "model": self.model,
            "its licence": self.model_licence,
            "weights": self.weights_sha256,
            "training data": self.data_ledger_root,
            "mode": self.mode,
            "seed": self.seed,
            "prompt": self.prompt,
            "watermark": self.watermark,
            "when": f"{self.when} (by the signer's clock)" if self.when else None,
            "training on it": train,
        }
        lines += [f"  {label:<15}{value}" for label, value in rows.items() if value is not None]
        for ingredient in self.ingredients:
            lines.append(f"  {'given':<15}{ingredient.title} ({ingredient.state or 'unsigned'})")
        lines += [f"  {'mark found':<15}{origin.text()}" for origin in self.origins]
        lines += [f"  {'problem':<15}{problem.words} [{problem.code}]" for problem in self.problems]
        return "\n".join(_printable(line) for line in lines)

    def _headline(self) -> str:
        if self.here:
            return "signed by this installation, unchanged since"
        if self.state == "invalid" and all(p.code.startswith("signingCredential") for p in self.problems):
            return "unchanged since it was signed, but the signature does not count"
        return _HEADLINES[self.state]


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


# ------------------------------------------------------------------------------------------- from the library's report


def verdict_from(path: Path, report: Mapping[str, Any], ours: frozenset[int]) -> Verdict:
    """The verdict on a report (`Reader.json`). `ours` are the serial numbers of this installation's certificates."""
    manifest = _table(_table(report.get("manifests")).get(str(report.get("active_manifest"))))
    signature = _table(manifest.get("signature_info"))
    assertions = {str(a.get("label")): _table(a.get("data")) for a in _tables(manifest.get("assertions"))}
    generation = assertions.get(GENERATION, {})
    actions = [a for label, data in assertions.items() if "c2pa.actions" in label for a in _tables(data.get("actions"))]
    state = _state(report)
    serial = _text(signature.get("cert_serial_number"))
    number = int(serial) if serial and serial.isdecimal() else None
    return Verdict(
        path=path,
        state=state,
        here=state == "trusted" and number in ours,
        signer=_text(signature.get("common_name")),
        issuer=_text(signature.get("issuer")),
        serial=number,
        title=_text(manifest.get("title")),
        generator=_generator(manifest),
        model=_text(generation.get("model")),
        model_licence=_text(generation.get("model_licence")),
        weights_sha256=_text(generation.get("weights_sha256")),
        data_ledger_root=_text(generation.get("data_ledger_root")),
        mode=_text(generation.get("mode")),
        seed=generation["seed"] if isinstance(generation.get("seed"), int) else None,
        prompt=_text(generation.get("prompt")),
        watermark=_text(generation.get("watermark")),
        when=next((_text(a.get("when")) for a in actions if a.get("action") == "c2pa.created"), None),
        ai_generated=any(str(a.get("digitalSourceType")).endswith("rainedAlgorithmicMedia") for a in actions),
        do_not_train=_do_not_train(assertions),
        do_not_edit=_do_not_edit(assertions),
        ingredients=_ingredients(manifest, generation),
        problems=_problems(report),
        bindings=tuple(
            value
            for block in _tables(assertions.get(SOFT_BINDING, {}).get("blocks"))
            if (value := _text(block.get("value"))) is not None
        ),
    )


#: Findings that the content is another one than was signed.
_OTHER_CONTENT = ("assertion.bmffHash.mismatch", "assertion.dataHash.mismatch", "assertion.boxesHash.mismatch")


def detached(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report on a manifest that was read without its file, as it would be with it: that another content lies beside
    it is taken out, and the state is what is left."""
    results = dict(_table(report.get("validation_results")))
    active = dict(_table(results.get("activeManifest")))
    failures = [f for f in _tables(active.get("failure")) if f.get("code") not in _OTHER_CONTENT]
    active["failure"] = failures
    results["activeManifest"] = active
    codes = {str(f.get("code")) for f in failures}
    trusted = any(s.get("code") == "signingCredential.trusted" for s in _tables(active.get("success")))
    state = "Invalid" if codes - {"signingCredential.untrusted"} else "Trusted" if trusted else "Valid"
    return {**report, "validation_results": results, "validation_state": state}


def _state(report: Mapping[str, Any]) -> State:
    """Anything but the two good answers is `invalid`, so that a word unknown here never passes for good."""
    match report.get("validation_state"):
        case "Trusted":
            return "trusted"
        case "Valid":
            return "valid"
    return "invalid"


def _generator(manifest: Mapping[str, Any]) -> str | None:
    for entry in _tables(manifest.get("claim_generator_info")):
        return f"{_text(entry.get('name')) or '?'} {_text(entry.get('version')) or ''}".strip()
    return _text(manifest.get("claim_generator"))


def _do_not_train(assertions: Mapping[str, Mapping[str, Any]]) -> bool | None:
    for label in (TRAINING, "c2pa.training-mining"):
        uses = [_table(entry).get("use") for entry in _table(assertions.get(label, {}).get("entries")).values()]
        if uses:
            return any(use != "allowed" for use in uses)
    return None


def _do_not_edit(assertions: Mapping[str, Mapping[str, Any]]) -> bool | None:
    """What is said about inference, by its name in CAWG 1.1 or the older one of C2PA."""
    for label in (TRAINING, "c2pa.training-mining"):
        for name, entry in _table(assertions.get(label, {}).get("entries")).items():
            if str(name).endswith("ai_inference"):
                return _table(entry).get("use") != "allowed"
    return None


def _ingredients(manifest: Mapping[str, Any], generation: Mapping[str, Any]) -> tuple[Ingredient, ...]:
    hashes = {str(g.get("title")): _text(g.get("sha256")) for g in _tables(generation.get("ingredients"))}
    found = []
    for entry in _tables(manifest.get("ingredients")):
        title, state = _text(entry.get("title")) or "?", None
        if entry.get("active_manifest"):
            results = _table(_table(entry.get("validation_results")).get("activeManifest"))
            failed = {str(f.get("code")) for f in _tables(results.get("failure"))}
            state = "invalid" if failed - {"signingCredential.untrusted"} else "valid" if failed else "trusted"
        found.append(Ingredient(title=title, state=state, sha256=hashes.get(title)))
    return tuple(found)


def _problems(report: Mapping[str, Any]) -> tuple[Problem, ...]:
    results = _table(report.get("validation_results"))
    failures = _tables(_table(results.get("activeManifest")).get("failure"))
    for delta in _tables(results.get("ingredientDeltas")):
        failures += _tables(_table(delta.get("validationDeltas")).get("failure"))
    found: dict[str, Problem] = {}
    for failure in failures:
        code = _text(failure.get("code")) or "unknown"
        words = next((w for start, w in _WORDS.items() if code.startswith(start)), None)
        found.setdefault(
            code, Problem(code=code, words=words or _text(failure.get("explanation")) or "unknown problem")
        )
    return tuple(found.values())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
