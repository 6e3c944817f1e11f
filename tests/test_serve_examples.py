"""Every request that the OpenAPI description shows is sent to a running service, and every answer is held against the
schema that the description promises."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from serving import Running
from test_serve_play import begun
from test_serve_safety import picture

from haneul.serve.examples import EXAMPLES


@pytest.fixture(scope="module")
def shop(serving_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of its own: keys, the policy and the queue are changed."""
    options = ("--trust-host", "localhost", "--world-idle", "600s", "--grace", "5")
    running = Running(serving_home, tmp_path_factory.mktemp("shop"), *options)
    yield running
    digest = running.http.get("/haneul/policy").json()["digest"]
    assert running.http.put("/haneul/policy", json={"digest": digest}).status_code == 200, "others share its settings"
    assert running.stop() == 0


@pytest.fixture(scope="module")
def described(shop: Running) -> dict[str, Any]:
    found: dict[str, Any] = shop.http.get(f"{shop.root}/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def there(shop: Running) -> dict[str, str]:
    """What the examples' stand-ins stand for."""
    videos = [shop.over(shop.make(seconds="1", seed=seed)["id"])["id"] for seed in (1, 2)]
    upload = shop.http.post(
        "/files", files={"file": ("a.png", picture(64, 64), "image/png")}, data={"purpose": "user_data"}
    ).json()
    own = shop.root.replace("127.0.0.1", "localhost")  # it answers, if only with 405
    hook = {"name": "a", "url": f"{own}/healthz", "event_types": ["video.failed"]}
    return {
        "video_123": videos[0], "video_456": videos[1], "file_123": upload["id"],
        "{video_id}": videos[0], "{world_id}": begun(shop)["id"],
        "{board_id}": shop.http.post("/haneul/boards", json={"title": "a"}).json()["id"],
        "{webhook_id}": shop.http.post("/webhook_endpoints", json=hook).json()["id"],
        "{key_id}": shop.http.post("/haneul/keys", json={"name": "a"}).json()["id"],
    }  # fmt: skip


def ridden(shop: Running, world: str, pictures: int = 4) -> None:
    """Watch a world until a few pictures were drawn: there is a ride then."""
    with contextlib.suppress(httpx2.TransportError), shop.http.stream("GET", f"/haneul/play/{world}/pictures") as sent:
        for seen, _ in enumerate(sent.iter_bytes(2048)):
            if seen == pictures:
                break


def schema_of(operation: dict[str, Any]) -> str:
    """The name of the schema of a JSON body, or nothing."""
    told = json.dumps(operation.get("requestBody", {}).get("content", {}).get("application/json", {}))
    _, found, rest = told.partition("#/components/schemas/")
    return rest.partition('"')[0] if found else ""


def shown(described: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(method, path, schema) of every route that takes JSON by a named schema."""
    return [
        (method, path, schema_of(operation))
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if schema_of(operation)
    ]


def filled(text: str, there: dict[str, str]) -> str:
    for stand_in, real in there.items():
        text = text.replace(stand_in, real)
    return text


def promised(described: dict[str, Any], method: str, path: str, status: int) -> Draft202012Validator:
    """What the description says of an answer."""
    answers = described["paths"][path][method]["responses"]
    assert str(status) in answers, f"{method} {path}: {status} is not documented"
    schema = answers[str(status)]["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": described["components"]})


def test_every_route_that_takes_json_has_an_example(described: dict[str, Any]) -> None:
    names = {schema for _, _, schema in shown(described)}
    assert names == set(EXAMPLES), "no route without one, no example of nothing"
    for name in names:
        assert described["components"]["schemas"][name]["examples"] == [EXAMPLES[name]]


def test_every_example_is_answered_as_it_is_described(
    shop: Running, described: dict[str, Any], there: dict[str, str]
) -> None:  # fmt: skip
    sent = 0
    for method, path, name in shown(described):
        body = json.loads(filled(json.dumps(EXAMPLES[name]), there))
        if name == "PutPolicy":
            body["digest"] = shop.http.get("/haneul/policy").json()["digest"]
        answer = shop.http.request(method.upper(), filled(path.removeprefix("/v1"), there), json=body)
        assert answer.status_code == 200, f"{method} {path}: {answer.text}"
        found = answer.json()
        promised(described, method, path, 200).validate(found)
        sent += 1
        if name == "BeginWorld":  # it took the other one's place
            there["{world_id}"] = found["id"]
            ridden(shop, found["id"])
        made = [found, *found.get("data", [])] if isinstance(found, dict) else []
        for job in (one["id"] for one in made if one.get("object") == "video"):
            gone = shop.http.delete(f"/videos/{job}")
            promised(described, "delete", "/v1/videos/{video_id}", 200).validate(gone.json())
    assert sent == len(shown(described)) > 30


def test_what_is_read_is_as_it_is_described(shop: Running, described: dict[str, Any], there: dict[str, str]) -> None:
    """Every route that is only read, and whose path is known."""
    read = 0
    for path, operations in described["paths"].items():
        told = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        url = filled(path, there)
        if "application/json" not in told or "{" in url:
            continue
        answer = shop.http.get(f"{shop.root}{url}")
        promised(described, "get", path, answer.status_code).validate(answer.json())
        read += 1
    assert read > 15
