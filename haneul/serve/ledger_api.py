"""/v1/haneul/ledger: what the model learned from, whose it is, and how such a scene looks.

The training clips themselves are not in the box. Each was drawn by the simulator from a few words, and the words are
here: the same simulator shows a scene of the same words again, as the program at the end of this file.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from haneul.data.ledger import simulated
from haneul.prompt.expand import read_scenes
from haneul.serve.aside import once, program
from haneul.serve.problems import not_found
from haneul.serve.sent import stored
from haneul.serve.service import key_of, service_of
from haneul.serve.studio_api import parts, weights_folder
from haneul.serve.videos import ERRORS

router = APIRouter(prefix="/v1/haneul", tags=["Haneul"], responses=ERRORS)
_SIZE, _SECONDS = (320, 180), 2.0  #: of a scene that is shown again


class Ledger(BaseModel):
    """What the model learned from: the root over all clips' entries, the terms that hold for every one of them, and
    scenes that it was shown, slot by slot."""

    root: str | None = Field(description="Merkle root over the entries, as every video's credentials name it.")
    licence: str
    rights_holder: str
    consent: str
    recipe: dict[str, Any]
    total: int
    offset: int
    scenes: list[dict[str, str]]
    numbers: list[int] = Field(description="Of these scenes, in their order; see ledger/{number}/sample.")


def _scenes() -> list[dict[str, str]]:
    scenes = read_scenes(weights_folder() / "scenes.json")
    return [
        {name: scenes.slots[name][index - 1] for name, index in zip(scenes.slots, row, strict=True) if index}
        for row in scenes.rows
    ]


@router.get("/ledger", response_model=Ledger)
async def ledger(
    request: Request, value: Annotated[str, Query(max_length=40, description="Scenes that hold this value.")] = "",
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0, limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Ledger:  # fmt: skip
    """What the model was trained on, and who agreed to it."""
    key_of(request, "read")

    def run() -> Ledger:
        fitting = [(n, row) for n, row in enumerate(_scenes()) if not value or value in row.values()]
        shown = fitting[offset : offset + limit]
        card = next((part.card for part in parts() if part.name == "dit"), None) or {}
        terms = simulated(b"", 0)
        return Ledger(
            root=card.get("data_ledger_root"), licence=terms.licence, rights_holder=terms.rights_holder,
            consent=terms.consent, recipe=card.get("recipe", {}), total=len(fitting), offset=offset,
            scenes=[row for _, row in shown], numbers=[n for n, _ in shown],
        )  # fmt: skip

    return await run_in_threadpool(run)


@router.get(
    "/ledger/{number}/sample", response_class=FileResponse,
    responses={200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}}},
)  # fmt: skip
async def sample(request: Request, number: Annotated[int, PathParam(ge=0, le=10**9)]) -> Response:
    """A scene of the same words as one that the model learned from, simulated again: two seconds, signed. The clip that
    it learned from is not kept here. It takes seconds, the very first one on a machine a minute or two."""
    service = service_of(request)
    key_of(request, "read")
    rows = await run_in_threadpool(_scenes)
    if number >= len(rows):
        raise not_found("scene", str(number))
    told = json.dumps(rows[number], sort_keys=True)
    name = f"samples/{hashlib.sha256(told.encode()).hexdigest()[:24]}.mp4"

    async def work(folder: Path) -> Path:
        target = folder / f"scene-{number}.mp4"
        await program("from haneul.serve.ledger_api import main; main()", told, str(number), str(target))
        return target

    await once(service, name, work)
    return await run_in_threadpool(
        stored, service.store, name, request.headers, media_type="video/mp4", filename=f"scene-{number}.mp4",
        headers={"cache-control": "private, max-age=86400"},
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------- the program

#: What is kept of a scene's words where the simulator cannot do all of them at once: which of these is first possible.
_LESS = (
    (),
    ("direction", "relation"),
    ("direction", "relation", "camera", "material", "material2"),
    ("direction", "relation", "camera", "material", "material2", "kind2", "color2", "kind", "color", "time"),
)


def main() -> None:
    """Shows a scene: its words as JSON, a seed, and the file to write."""
    from haneul.errors import WorldError
    from haneul.world.produce import show_scene

    told, seed, target = json.loads(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    problem: WorldError | None = None
    for without in _LESS:
        words = {name: value for name, value in told.items() if name not in without}
        try:
            show_scene(words, target, size=_SIZE, seconds=_SECONDS, seed=seed)
        except WorldError as error:
            problem = error
        else:
            return
    sys.exit(str(problem))
