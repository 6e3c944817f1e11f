"""The studio's pages without a browser: their words, their size, and how they are sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
from fastapi import FastAPI
from serving import Running
from visiting import PATIENCE, table

from haneul.serve import studio
from haneul.serve.problems import install, still_working


def test_both_languages_say_everything() -> None:
    english, korean = table("en"), table("ko")
    assert list(english) == list(korean)
    for name in english:
        assert english[name].strip(), name
        assert korean[name].strip(), name
        holes = re.compile(r"\{\w+\}")
        assert sorted(holes.findall(english[name])) == sorted(holes.findall(korean[name])), name
    plain = [n for n in english if re.search("[a-z]{4}", korean[n]) and not re.search("[가-힣]", korean[n])]
    assert plain == []  # left in English


def test_no_text_stands_twice() -> None:
    """In JSON the second would win without a word."""
    for path in (studio.FOLDER / "words").glob("*.json"):
        pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
        names = [name for name, _ in pairs]
        assert [name for name in names if names.count(name) > 1] == [], path.name


def test_every_text_that_is_asked_for_is_there() -> None:
    english = table("en")
    for path in (studio.FOLDER / "js").glob("*.js"):
        for name in re.findall(r'\bt\("([\w.-]+)"', path.read_text(encoding="utf-8")):
            assert name in english, (path.name, name)


def test_every_value_of_the_vocabulary_has_a_word(service: Running) -> None:
    english = table("en")
    vocabulary = service.http.get("/haneul/model").json()["vocabulary"]
    missing = {v for values in vocabulary.values() for v in values if not v.isdigit() and f"value.{v}" not in english}
    assert missing == set()
    assert [slot for slot in vocabulary if f"slot.{slot}" not in english] == []


def test_dark_is_dark_whoever_asks_for_it() -> None:
    """The colours that stand twice: for a machine that is set to dark, and for who chooses it in the page."""
    style = (studio.FOLDER / "studio.css").read_text(encoding="utf-8")
    by_machine = style.split(":root:not([data-theme=light]) {")[1].split("}")[0]
    by_choice = style.split(":root[data-theme=dark] {")[1].split("}")[0].replace("color-scheme: dark;", "")
    assert "--ground" in by_machine
    assert by_machine.split() == by_choice.split()


def test_it_is_small_and_nothing_in_it_is_from_elsewhere() -> None:
    files = studio.assets()
    assert sum(len(asset.packed) for asset in files.values()) <= 200_000
    for name, asset in files.items():
        text = asset.body.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), name
        assert len(text.splitlines()) <= 700, name
    page = files["index.html"].body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for name in re.findall(r'"/studio/([^"]+)"', page):
        assert name in files


def test_the_pictures_of_the_readme_are_small() -> None:
    pictures = list((Path(__file__).parent.parent / "docs" / "img").glob("studio-*.jpg"))
    assert len(pictures) == 2
    assert sum(path.stat().st_size for path in pictures) <= 120_000


def test_pages_are_sent_packed_and_only_once(service: Running) -> None:
    answer = service.http.get(service.root + "/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "'unsafe-inline'" not in policy
    assert "default-src 'none'" in policy
    again = service.http.get(service.root + "/", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = service.http.get(service.root + "/studio/js/app.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == gzip.decompress(studio.assets()["js/app.js"].packed)
    for path in (
        "/studio/",
        "/studio/nothing.js",
        "/studio/../app.py",
        "/studio/%2e%2e/__init__.py",
        "/studio/__init__.py",
    ):
        assert service.http.get(service.root + path).status_code == 404, path


def test_only_the_pages_are_open_without_a_key(serving_home: Path, tmp_path: Path) -> None:
    running = Running(serving_home, tmp_path / "data", "--require-key", "--workers", "0", ready=False)
    try:
        for path in ("/", "/studio/js/app.js", "/studio/words/ko.json"):
            assert running.http.get(running.root + path).status_code == 200
        for path in ("/v1/haneul/library", "/v1/haneul/boards", "/v1/haneul/model", "/v1/haneul/events", "/studiox"):
            assert running.http.get(running.root + path).status_code == 401, path
    finally:
        assert running.stop() == 0


def test_the_command_serves_it(serving_home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "haneul", "studio", "--no-browser", "--port", "0", "--workers", "0"]
    process = subprocess.Popen(
        [*command, "--data", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"HANEUL_HOME": str(serving_home)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        assert "<title>Haneul</title>" in httpx2.get(url, timeout=PATIENCE / 1000).text
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()  # type: ignore[union-attr]


def test_who_is_ready_to_ask_again_gets_no_error() -> None:
    """What takes longer than an answer may is no error in the console of a page (RFC 7240)."""
    app = FastAPI()
    install(app, ())

    @app.get("/slow")
    def slow() -> None:
        raise still_working("it goes on")

    async def asked(**headers: str) -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://here") as http:
            return await http.get("/slow", headers=headers)

    plain, ready = asyncio.run(asked()), asyncio.run(asked(prefer="Respond-Async"))
    assert (plain.status_code, ready.status_code) == (503, 202)
    assert ready.headers["preference-applied"] == "respond-async"
    assert plain.json() == ready.json()
    assert plain.headers["retry-after"] == ready.headers["retry-after"] == "2"
