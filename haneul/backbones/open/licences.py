"""Under which terms a checkpoint may be used: what its own card says, and in a few words what known terms mean.

This is a reader's summary and no legal advice; the text that counts is the one that the card links to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from haneul.backbones.open.folder import Checkpoint

#: What terms mean, by the name that a card gives them (`license`, or `license_name` where that is "other"), and where
#: they are written. Only what the text itself says is told here; of the rest, that it has to be read.
KNOWN: Mapping[str, tuple[str, str]] = {
    "apache-2.0": ("any use, commercial too; keep the notices", "https://www.apache.org/licenses/LICENSE-2.0"),
    "mit": ("any use, commercial too; keep the notice", "https://opensource.org/license/mit"),
    "tencent-hunyuan-community": (
        "NOT in the European Union, the United Kingdom and South Korea; with more than 100 million monthly users only "
        "by agreement with Tencent; not to improve other models",
        "https://huggingface.co/tencent/HunyuanVideo/blob/main/LICENSE",
    ),
    "nvidia-open-model-license": (
        "commercial use is allowed; who leaves out or goes round the guardrail loses the licence",
        "https://www.nvidia.com/en-us/agreements/enterprise-software/nvidia-open-model-license",
    ),
    "ltx-2-community-license-agreement": (
        "commercial use is limited by a company's yearly revenue; above it a paid licence is needed",
        "https://github.com/Lightricks/LTX-2/blob/main/LICENSE",
    ),
    "cogvideox-license": (
        "free for research; commercial use needs a registration and is limited",
        "https://huggingface.co/THUDM/CogVideoX-5b/blob/main/LICENSE",
    ),
    "skywork-license": (
        "commercial use is allowed within the Skywork Community License",
        "https://huggingface.co/Skywork/SkyReels-V2-T2V-14B-540P/blob/main/LICENSE.txt",
    ),
}
#: The terms of a family whose folder came without its card, by the folder of diffusers that its pipelines lie in.
FAMILIES: Mapping[str, str] = {
    "hunyuan_video": "tencent-hunyuan-community",
    "hunyuan_video1_5": "tencent-hunyuan-community",
    "cosmos": "nvidia-open-model-license",
    "sana_video": "nvidia-open-model-license",
    "ltx2": "ltx-2-community-license-agreement",
    "skyreels_v2": "skywork-license",
    "mochi": "apache-2.0",
    "kandinsky5": "mit",
}
_FIELD = re.compile(r"^(license|license_name|license_link):\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Licence:
    """A checkpoint's terms."""

    name: str  #: as its card names them; "unknown" where it has none
    meaning: str
    link: str
    source: str  #: where that was read

    def text(self) -> str:
        """One line for the user."""
        return f"{self.name}: {self.meaning}" + (f" ({self.link})" if self.link else "") + f"; by {self.source}"


def of(checkpoint: Checkpoint) -> Licence:
    """A checkpoint's terms: its card's; where it has no card, those under which its family is given out."""
    found = _card(checkpoint.folder / "README.md")
    name = found.get("license", "")
    if name == "other":
        name = found.get("license_name", "other")
    source = "the checkpoint's README.md"
    if not name:
        name, source = FAMILIES.get(checkpoint.pipeline.package, ""), "its family, for the folder has no card"
    if not name:
        return Licence(
            name="unknown", meaning="the folder has no card; read its terms where you got it", link="",
            source="no file of it",
        )  # fmt: skip
    meaning, link = KNOWN.get(name.lower(), ("terms of its own; read them before you use it", ""))
    return Licence(name=name, meaning=meaning, link=found.get("license_link", "") or link, source=source)


def _card(path: Path) -> dict[str, str]:
    """The front matter of a model card, as far as it is about the licence."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    matter = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    if matter is None:
        return {}
    return {key: value.strip("'\"").strip() for key, value in _FIELD.findall(matter[1]) if value not in (">-", "|")}


def first_use(licence: Licence, checkpoint: Checkpoint, shown: Path) -> bool:
    """Whether these terms were never shown here for this checkpoint; from now on they were. `shown` keeps that."""
    key = f"{checkpoint.name} {licence.name}"
    try:
        known = list(json.loads(shown.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        known = []
    if key in known:
        return False
    shown.parent.mkdir(parents=True, exist_ok=True)
    shown.write_text(json.dumps([*known, key]), encoding="utf-8")
    return True
