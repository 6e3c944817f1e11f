"""/v1/haneul: the library, prompts as they are understood, variations, and what the studio shows beside."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from serving import Running, wait_for

from haneul.serve.config import ServeConfig
from haneul.serve.database import Database
from haneul.serve.engines import jobs_of
from haneul.serve.jobs import NewJob
from haneul.serve.library import Library, Look
from haneul.video.io import probe


@pytest.fixture
def shelf(tmp_path: Path) -> Library:
    """A library over an embedded job engine, in which three jobs of `me` and one of somebody else were accepted."""
    config = ServeConfig(data=tmp_path)
    jobs = jobs_of(config, Database(config.database))
    library = Library(tmp_path / "library.sqlite", jobs)
    for number, (owner, prompt, parents) in enumerate(
        [
            ("me", "A red ball", []),
            ("me", "빨간 공과 눈", ["v0"]),
            ("me", "A blue BALL, 100%", ["v1"]),
            ("you", "a ball", []),
        ]
    ):
        request = {"prompt": prompt, "shown": {"size": [64, 64], "seconds": number + 1}, "parents": parents}
        jobs.submit(NewJob(id=f"v{number}", owner=owner, mode="remix", request=request, seconds=1.0))
    return library


def ids(library: Library, **look: Any) -> list[str]:
    return [entry.job.id for entry in library.page("me", Look(**look), offset=0, limit=10)[0]]


def test_search_and_order(shelf: Library) -> None:
    assert ids(shelf) == ["v2", "v1", "v0"]
    assert ids(shelf, words="ball") == ["v2", "v0"]
    assert ids(shelf, words="BALL red") == ["v0"]
    assert ids(shelf, words="공과") == ["v1"]
    assert ids(shelf, words="100%") == ["v2"]  # no wildcard
    assert ids(shelf, words="v1") == ["v1"]
    assert ids(shelf, order="longest") == ["v2", "v1", "v0"]
    assert ids(shelf, status=("completed",)) == []
    assert shelf.page("me", Look(), offset=2, limit=1)[1] == 3
    assert [e.job.id for e in shelf.page("me", Look(), offset=2, limit=1)[0]] == ["v0"]


def test_looking_at_the_newest_first_hides_nobody(shelf: Library) -> None:
    assert shelf.entry("me", "v2") is not None
    assert ids(shelf) == ["v2", "v1", "v0"]


def test_what_its_owner_says(shelf: Library) -> None:
    ids(shelf)
    assert shelf.change("you", "v0", {"favourite": True}) is None
    shelf.change("me", "v0", {"favourite": True, "folder": "밤", "stars": 5})
    assert ids(shelf, favourite=True) == ids(shelf, folder="밤") == ["v0"]
    assert ids(shelf, order="starred")[0] == "v0"
    assert shelf.folders("me") == [("밤", 1)]
    shelf.change("me", "v0", {"folder": None})
    assert shelf.folders("me") == []
    assert ids(shelf, favourite=True) == ["v0"]


def test_the_catalogue_follows_the_jobs(shelf: Library) -> None:
    assert [job.id for job in shelf.follow("me")] == ["v0", "v1", "v2"]
    job = shelf.jobs.claim("worker")
    assert job is not None
    shelf.jobs.fail(job, "x", "y")
    assert ids(shelf, status=("failed",)) == [job.id]
    shelf.jobs.delete("v2", "me")  # by another way than the service's
    assert ids(shelf) == ["v1", "v0"]
    assert shelf.page("me", Look(), offset=0, limit=10)[1] == 2
    again = Library(shelf.db.path, shelf.jobs)
    assert ids(again) == ["v1", "v0"]


def test_a_deleted_clip_leaves_a_gap_in_the_tree_and_no_words(shelf: Library) -> None:
    ids(shelf)
    assert shelf.family("me", "v0") == (["v0", "v1", "v2"], [("v0", "v1"), ("v1", "v2")])
    shelf.jobs.delete("v1", "me")
    shelf.forget("v1")
    assert shelf.family("me", "v2") == (["v1", "v2"], [("v1", "v2")])
    assert shelf.entry("me", "v1") is None
    shelf.db.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rows = [tuple(row) for row in shelf.db.connection.execute("SELECT * FROM clips")]
    assert "빨간" not in repr(rows)


def test_the_order_of_many_is_by_acceptance(tmp_path: Path) -> None:
    config = ServeConfig(data=tmp_path, queue_limit=10_000, queue_limit_per_key=10_000)
    jobs = jobs_of(config, Database(config.database))
    for number in range(1203):  # more than are read in one go
        request = {"prompt": f"clip {number}", "shown": {"size": [64, 64], "seconds": 1}}
        jobs.submit(NewJob(id=f"v{number}", owner="me", mode="generate", request=request, seconds=1.0))
    library = Library(tmp_path / "library.sqlite", jobs)
    found, total = library.page("me", Look(order="oldest"), offset=1200, limit=60)
    assert (total, [entry.job.id for entry in found]) == (1203, ["v1200", "v1201", "v1202"])


# ------------------------------------------------------------------------------------------- against a real service


@pytest.fixture(scope="module")
def made(service: Running) -> list[str]:
    """A clip, and one varied from it."""
    first = service.over(service.make(prompt="a green box slides on marble", seconds="0.7")["id"])["id"]
    body = {
        "prompt": "a yellow box slides on marble",
        "clip": {"video_id": first},
        "strength": 0.5,
        "seed": 4,
        "camera": "push in",
    }
    second = service.http.post("/haneul/remix", json=body).json()["id"]
    assert service.over(second)["status"] == "completed"
    return [first, second]


def get(service: Running, path: str, **query: Any) -> Any:
    answer = service.http.get(f"/haneul/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_library(service: Running, made: list[str]) -> None:
    found = get(service, "library", q="marble slides", order="oldest")
    assert [clip["id"] for clip in found["data"]] == made
    assert found["total"] == 2
    first, second = found["data"]
    assert (first["parents"], first["children"], second["parents"]) == ([], 1, [made[0]])
    assert (second["seed"], second["mode"], second["frames"], second["fps"]) == (4, "remix", 17, 24)
    tree = get(service, f"library/{made[1]}/family")
    assert tree["lines"] == [{"parent": made[0], "child": made[1]}]
    assert [clip["id"] for clip in tree["clips"]] == sorted(made)
    answer = service.http.patch(f"/haneul/library/{made[1]}", json={"favourite": True, "stars": 4, "folder": "boxes"})
    assert (answer.json()["favourite"], answer.json()["stars"]) == (True, 4)
    assert {"name": "boxes", "clips": 1} in get(service, "folders")["data"]
    assert service.http.patch(f"/haneul/library/{made[1]}", json={"stars": 6}).status_code == 400
    assert service.http.patch(f"/haneul/library/{made[1]}", json={"favourite": None}).status_code == 400
    assert service.http.patch("/haneul/library/video_none", json={}).status_code == 404


def test_again_with_one_change(service: Running, made: list[str]) -> None:
    recipe = get(service, f"library/{made[1]}/recipe")
    assert (recipe["prompt"], recipe["args"], recipe["given"]) == (
        "a yellow box slides on marble",
        {"strength": 0.5},
        1,
    )
    assert recipe["options"] == {"seed": 4, "camera": "push in"}
    same = service.http.post(f"/haneul/library/{made[1]}/again", json={}).json()["id"]
    other = service.http.post(f"/haneul/library/{made[1]}/again", json={"strength": 0.9}).json()["id"]
    shas = [
        get(service, f"videos/{video}")["report"]["request"]
        for video in (made[1], *(service.over(video)["id"] for video in (same, other)))
    ]
    assert [sha["seed"] for sha in shas] == [4, 4, 4]
    assert get(service, f"library/{other}")["parents"] == [made[0]]
    assert get(service, f"library/{other}/recipe")["args"] == {"strength": 0.9}
    refused = service.http.post(f"/haneul/library/{made[0]}/again", json={"strength": 0.9})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "strength")


def test_variations_are_all_accepted_or_none(service: Running) -> None:
    body = {"prompt": "a pink ball rolls", "seconds": 0.2, "size": "64x64", "count": 3, "seed": 50}
    answer = service.http.post("/haneul/variations", json=body, headers={"idempotency-key": "three"}).json()
    again = service.http.post("/haneul/variations", json=body, headers={"idempotency-key": "three"}).json()
    assert [v["id"] for v in answer["data"]] == [v["id"] for v in again["data"]]
    seeds = []
    for video in answer["data"]:
        assert service.over(video["id"])["status"] == "completed"
        seeds.append(get(service, f"videos/{video['id']}")["seed"])
    assert seeds == [50, 51, 52]
    before = get(service, "library")["total"]
    refused = service.http.post("/haneul/variations", json=body | {"seed": 2**63 - 2})  # the third has no seed left
    assert refused.status_code == 400
    assert get(service, "library")["total"] == before


def test_a_prompt_is_read(service: Running) -> None:
    def read(**body: Any) -> Any:
        answer = service.http.post("/haneul/prompt", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    found = read(prompt="a red zebra in the forest")
    assert [entry["word"] for entry in found["unknown"]] == ["zebra"]
    assert len(found["unknown"][0]["nearest"]) == 3
    assert found["findings"] == []
    assert read(prompt="빨간 공")["language"] == "ko"
    refused = read(prompt="graphic beheading, blood and gore everywhere")
    assert [(entry["code"], entry["action"]) for entry in refused["findings"]] == [("gore", "refuse")]
    answer = service.http.post("/haneul/prompt", json={"prompt": "x", "camera": "somersault"})
    assert answer.status_code == 400
    assert "somersault" in answer.json()["error"]["message"]


def test_all_that_runs_in_one_stream(service: Running) -> None:
    seen: dict[str, list[dict[str, Any]]] = {}
    held: list[dict[str, bool]] = []
    begun = threading.Event()

    def listen() -> None:
        with service.http.stream("GET", "/haneul/events") as answer:
            name = ""
            for line in answer.iter_lines():
                begun.set()
                name = line[7:] if line.startswith("event: ") else name
                if line.startswith("data: ") and name == "queue":
                    held.append(json.loads(line[6:]))
                elif line.startswith("data: "):
                    told = json.loads(line[6:])
                    seen.setdefault(told["id"], []).append(told)
                    if told["id"] in asked and told["video"]["status"] == "completed":
                        asked.discard(told["id"])
                        if not asked:
                            return

    asked = {"not yet"}
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    wait_for(begun.is_set, 20)
    mine = {service.make(seed=number, steps=3)["id"] for number in (1, 2)}
    asked |= mine
    asked.discard("not yet")
    thread.join(60)
    assert not thread.is_alive()
    assert held == [{"paused": False, "everybody": False}]
    for video in mine:
        states = [told["video"]["status"] for told in seen[video]]
        assert states[-1] == "completed"
        assert states == sorted(states, key=["queued", "in_progress", "completed"].index)


def test_what_there_is_to_know(service: Running, made: list[str]) -> None:
    card = get(service, "model")
    assert {part["name"] for part in card["parts"]} >= {"dit", "codec", "text_encoder"}
    assert all(len(part["sha256"]) == 64 for part in card["parts"])
    assert card["data_ledger_root"] == "ab" * 32
    assert card["vocabulary"]["color"][0] == "red"
    ledger = get(service, "ledger", value="forest", limit=3)
    assert len(ledger["scenes"]) == 3
    assert all("forest" in scene.values() for scene in ledger["scenes"])
    assert ledger["consent"].startswith("simulated")
    audit = get(service, "audit")
    assert audit["whole"]
    assert audit["records"] > 0
    noted = get(service, "audit", head=audit["head"])
    assert noted["whole"]
    assert not get(service, "audit", head="7:" + "0" * 64)["whole"]
    storage = get(service, "storage")
    assert storage["videos"] > 1000
    assert storage["workers"] == 1
    answer = service.http.get(f"/haneul/videos/{made[0]}/nearest")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_index")


def test_a_scene_that_it_learned_from_is_shown_again(service: Running, tmp_path: Path) -> None:
    told = service.http.get("/haneul/ledger", params={"value": "drift", "limit": 3}).json()
    assert len(told["numbers"]) == len(told["scenes"]) == 3
    path = f"/haneul/ledger/{told['numbers'][0]}/sample"
    answer = service.http.get(path, timeout=300)  # the first one compiles the tracer
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4"), answer.text
    film = tmp_path / "scene.mp4"
    film.write_bytes(answer.content)
    info = probe(film)
    assert (info.width, info.height, info.frames) == (320, 180, 48)
    verdict = service.http.post("/haneul/verify", files={"file": ("scene.mp4", answer.content)}).json()
    assert (verdict["state"], verdict["mode"], verdict["model"]) == ("trusted", "world render", "haneul-world")
    assert service.http.get(path).content == answer.content  # not made again
    assert service.http.get("/haneul/ledger/100000000/sample").status_code == 404


def test_deleting_leaves_nothing_in_the_library(service: Running) -> None:
    video = service.make(prompt="a secret cylinder")["id"]
    service.over(video)
    assert get(service, "library", q="secret")["total"] == 1
    assert service.http.delete(f"/videos/{video}").status_code == 200
    assert get(service, "library", q="secret")["total"] == 0
