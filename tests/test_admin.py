"""Administration over HTTP: keys and their limits, the screen's policy; against services of their own."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from serving import Running
from test_serve_safety import picture

from haneul.config import Settings
from haneul.errors import InputError
from haneul.screen import site
from haneul.screen.audit import AuditLog
from haneul.screen.policy import load_policy
from haneul.serve.database import Database
from haneul.serve.jobs import Limits
from haneul.serve.keys import Keys


class Asking:
    """Asks a service with one key."""

    def __init__(self, running: Running, key: str) -> None:
        self.running, self.headers = running, {"authorization": f"Bearer {key}"}

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.running.http.request(method, path, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def office(serving_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Asking, Path]]:
    """A service that asks for keys, somebody with an admin key to it, and its HANEUL_HOME."""
    home, data = tmp_path_factory.mktemp("office"), tmp_path_factory.mktemp("office-data")
    shutil.copy(serving_home / "config.toml", home)
    running = Running(home, data, "--require-key", "--workers", "0", ready=False)
    try:
        yield running, Asking(running, Keys(Database(data / "jobs.sqlite")).create("boss", ("read", "admin"))), home
    finally:
        assert running.stop() == 0


VIDEO = {"prompt": "a red ball rolls", "seconds": "0.2", "size": "64x64"}


def test_keys_from_birth_to_end(office: tuple[Running, Asking, Path]) -> None:
    running, boss, _ = office
    made = boss("POST", "/haneul/keys", {"name": "하늘", "limits": {"requests_per_minute": 1}})
    assert made["scopes"] == ["read", "write"]
    friend = Asking(running, made["key"])
    friend("POST", "/videos", VIDEO)
    refused = friend("POST", "/videos", VIDEO, 429)
    assert refused["error"]["code"] == "rate_limit_exceeded"
    own = friend("GET", "/haneul/me")
    assert (own["name"], own["own"], own["used"]["requests_per_minute"], own["used"]["waiting"]) == ("하늘", True, 1, 1)
    for method, path in (("GET", "/haneul/keys"), ("POST", "/haneul/keys"), ("GET", "/haneul/policy")):
        body = {"name": "x"} if method == "POST" else None
        assert friend(method, path, body, 403)["error"]["code"] == "missing_scope"

    limits = {"waiting": 2, "seconds_per_day": 60, "retention": 7200}
    more = {"name": "friend", "scopes": ["read", "write", "read"], "limits": limits}
    changed = boss("PUT", f"/haneul/keys/{made['id']}", more)
    assert (changed["name"], changed["scopes"], changed["limits"]["waiting"]) == ("friend", ["read", "write"], 2)
    assert changed["limits"]["requests_per_minute"] is None
    friend("POST", "/videos", VIDEO)
    assert friend("POST", "/videos", VIDEO, 429)["error"]["code"] == "queue_full"
    sent = running.http.post(
        "/files", files={"file": ("a.png", picture(64, 64), "image/png")}, data={"purpose": "user_data"},
        headers=friend.headers,
    ).json()  # fmt: skip
    assert sent["expires_at"] - sent["created_at"] == 7200

    fresh = boss("POST", f"/haneul/keys/{made['id']}/rotate", {"keep": 3600})["key"]
    Asking(running, fresh)("GET", "/haneul/me")
    friend("GET", "/haneul/me")  # for an hour still
    newest = boss("POST", f"/haneul/keys/{made['id']}/rotate", {})["key"]
    Asking(running, fresh)("GET", "/haneul/me", status=401)

    listed = boss("GET", "/haneul/keys")
    assert [key["name"] for key in listed["data"]] == ["boss", "friend"]
    assert made["key"] not in json.dumps(listed)
    assert boss("DELETE", f"/haneul/keys/{made['id']}")["revoked_at"] is not None
    Asking(running, newest)("GET", "/haneul/me", status=401)
    boss("DELETE", f"/haneul/keys/{made['id']}", status=404)


@pytest.mark.parametrize("retention", [1.0, 2e9])
def test_a_retention_that_no_key_can_have(office: tuple[Running, Asking, Path], retention: float) -> None:
    running, boss, _ = office
    boss("POST", "/haneul/keys", {"name": "x", "limits": {"retention": retention}}, 400)
    with pytest.raises(InputError, match="cannot be kept"):  # as haneul keys create would
        Keys(Database(running.data / "jobs.sqlite")).create("x", limits=Limits(retention=retention))
    boss("GET", "/haneul/keys")


def test_an_admin_key_cannot_lock_itself_out(office: tuple[Running, Asking, Path]) -> None:
    _, boss, _ = office
    me = boss("GET", "/haneul/me")
    assert boss("DELETE", f"/haneul/keys/{me['id']}", status=400)["error"]["code"] == "own_key"
    less = {"name": "boss", "scopes": ["read"]}
    assert boss("PUT", f"/haneul/keys/{me['id']}", less, 400)["error"]["code"] == "own_key"
    assert boss("PUT", f"/haneul/keys/{me['id']}", less | {"scopes": ["read", "admin"]})["name"] == "boss"


def test_everybodys_pause_needs_an_admin_key(office: tuple[Running, Asking, Path]) -> None:
    running, boss, _ = office
    friend = Asking(running, boss("POST", "/haneul/keys", {"name": "friend"})["key"])
    friend("POST", "/haneul/queue/pause", {"everybody": True}, 403)
    assert boss("POST", "/haneul/queue/pause", {"everybody": True}) == {"paused": False, "everybody": True}
    assert friend("GET", "/haneul/queue") == {"paused": False, "everybody": True}
    friend("POST", "/haneul/queue/resume", {})
    assert friend("GET", "/haneul/queue")["everybody"]
    boss("POST", "/haneul/queue/resume", {"everybody": True})


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""}, {"name": "a\nb"}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]},
        {"name": "x", "limits": {"waiting": 0}}, {"name": "x", "limits": {"seconds_per_day": -1}},
        {"name": "x", "limits": {"videos": 3}},
    ],
)  # fmt: skip
def test_keys_that_cannot_be(office: tuple[Running, Asking, Path], body: dict[str, Any]) -> None:
    office[1]("POST", "/haneul/keys", body, 400)


def test_the_policy_is_changed_and_heeded_at_once(office: tuple[Running, Asking, Path]) -> None:
    running, boss, home = office
    friend = Asking(running, boss("POST", "/haneul/keys", {"name": "friend"})["key"])
    asked = VIDEO | {"prompt": "ectoplasm drips from a box"}
    friend("POST", "/videos", asked)
    assert friend("POST", "/haneul/prompt", {"prompt": asked["prompt"]})["findings"] == []
    now = boss("GET", "/haneul/policy")
    assert now["file"] is None
    assert now["categories"][0]["locked"]
    changes = {
        "categories": {"trademark": {"action": "flag"}}, "terms": {"gore": {"add": {"en": "ectoplasm"}}},
        "audit": {"prompts": False},
    }  # fmt: skip
    later = boss("PUT", "/haneul/policy", changes | {"digest": now["digest"]})
    assert {entry["name"]: entry["action"] for entry in later["categories"]}["trademark"] == "flag"
    assert later["lists"]["gore"]["en"] == now["lists"]["gore"]["en"] + 1
    assert later["changes"]["terms"]["gore"]["add"] == {"en": "ectoplasm"}
    assert friend("POST", "/videos", asked, 400)["error"]["reason"] == "gore"
    assert [f["code"] for f in friend("POST", "/haneul/prompt", {"prompt": asked["prompt"]})["findings"]] == ["gore"]
    assert boss("PUT", "/haneul/policy", {"digest": now["digest"]}, 409)["error"]["code"] == "policy_changed"
    for bad in (
        {"categories": {"minors": {"action": "flag"}}}, {"categories": {"nothing": {"action": "flag"}}},
        {"terms": {"minor": {"remove": {"en": "child"}}}}, {"terms": {"gore": {"add": {"fr": "sang"}}}},
    ):  # fmt: skip
        boss("PUT", "/haneul/policy", bad | {"digest": later["digest"]}, 400)
    assert boss("GET", "/haneul/policy")["digest"] == later["digest"]  # a refusal changes nothing
    first = boss("PUT", "/haneul/policy", {"digest": later["digest"]})
    assert first["lists"] == now["lists"]
    friend("POST", "/videos", asked)
    log = [
        json.loads(line) for line in AuditLog(Settings(data=home / "data", cache=home)).path.read_text().splitlines()
    ]
    told = [(line["policy"], line["by"]) for line in log if line["where"] == "policy"]
    boss_id = boss("GET", "/haneul/me")["id"]
    assert told == [(each["digest"][:16], f"key {boss_id}") for each in (later, first)]
    assert boss("GET", "/haneul/audit")["whole"]


# ------------------------------------------------------------------------------------------- without a service


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


def test_a_file_by_hand_is_never_written(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[categories.gore] # mine\naction = "flag"\n')
    own = Settings(data=settings.data, cache=settings.cache, policy=path)
    site.change(settings, {"categories": {"gore": {"action": "allow"}}}, by="me")
    assert load_policy(settings).categories["gore"].action == "allow"
    assert load_policy(own).categories["gore"].action == "flag"  # what is named holds, and nothing else
    assert site.changes(own) == {"categories": {"gore": {"action": "flag"}}}
    with pytest.raises(InputError, match=r"set by the file .*mine\.toml"):
        site.change(own, {}, by="me")
    assert "# mine" in path.read_text()


WORDS = some.text(alphabet=string.printable + '하늘"\\\x00\x7f\u2028', max_size=20)


@given(
    terms=some.dictionaries(
        some.sampled_from(["gore", "hate", "sexual"]),
        some.fixed_dictionaries({"add": some.dictionaries(some.sampled_from(["en", "ko"]), WORDS, min_size=1)}),
    ),
    threshold=some.floats(1e-9, 1e9),
    prompts=some.booleans(),
)
def test_a_table_as_toml_and_back(terms: dict[str, Any], threshold: float, prompts: bool) -> None:
    import tomllib

    table = {"categories": {"self-harm": {"threshold": threshold}}, "audit": {"prompts": prompts}}
    table |= {"terms": terms} if terms else {}
    assert tomllib.loads(site.to_toml(table)) == table
