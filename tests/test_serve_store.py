"""Where videos lie: a folder and a bucket, by the same tests, and a service of two machines that share both."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clusters import emptied
from serving import ROOT, Running, wait_for
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from haneul.errors import HaneulError, InputError
from haneul.serve.config import ServeConfig
from haneul.serve.engines import store_of
from haneul.serve.jobs import NewJob
from haneul.serve.sent import stored
from haneul.serve.service import Service
from haneul.serve.store import FolderStore, Store, StoreError

TEXT = bytes(range(256)) * 4


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    url = request.getfixturevalue("s3").replace("of/haneul", f"of/{tmp_path.name}")
    return store_of(ServeConfig(data=tmp_path / "data", store=url))


def fresh(store: Store, tmp_path: Path) -> Store:
    """The same files as another machine sees them."""
    if isinstance(store, FolderStore):
        return FolderStore(store.root)
    from haneul.serve.bucket import BucketStore

    assert isinstance(store, BucketStore)
    return BucketStore(store.url, tmp_path / "other cache")


def put(store: Store, key: str, data: bytes, folder: Path) -> None:
    source = folder / "source"
    source.write_bytes(data)
    store.put(key, source)
    assert not source.exists()


def test_files_come_and_go(store: Store, tmp_path: Path) -> None:
    for key in ("videos/a/1/video.mp4", "videos/a/1/thumbnail.webp", "videos/ab/1/video.mp4", "files/f/content.png"):
        put(store, key, key.encode(), tmp_path)
    other = fresh(store, tmp_path)
    assert other.local("videos/a/1/video.mp4").read_bytes() == b"videos/a/1/video.mp4"
    assert other.size("videos/a/1/video.mp4") == 20
    put(store, "videos/a/1/thumbnail.webp", b"anew", tmp_path)
    assert fresh(store, tmp_path).local("videos/a/1/thumbnail.webp").read_bytes() == b"anew"
    store.copy("videos/ab/1/video.mp4", "inputs/c/video.mp4")
    assert sorted(store.groups("videos", older=-60)) == ["a", "ab"]
    assert list(store.groups("videos", older=3600)) == []
    assert list(store.groups("nothing", older=-60)) == []
    store.delete("videos/a")
    store.delete("videos/ab/1/video.mp4")
    store.delete("videos/none")
    assert store.local("inputs/c/video.mp4").read_bytes() == b"videos/ab/1/video.mp4"
    for gone in ("videos/a/1/video.mp4", "videos/ab/1/video.mp4"):
        with pytest.raises(KeyError):
            store.local(gone)
        with pytest.raises(KeyError):
            store.size(gone)
        with pytest.raises(KeyError):
            store.copy(gone, "inputs/d/video.mp4")
    assert store.free() > 0


@pytest.mark.parametrize("key", ["../etc/passwd", "videos/../../x", "/etc/passwd", "videos", "videos//x", "Videos/x"])
def test_no_key_leads_out_of_the_store(store: Store, tmp_path: Path, key: str) -> None:
    (tmp_path / "source").write_bytes(b"x")
    for call in (store.local, store.size, lambda key: store.put(key, tmp_path / "source"), lambda k: [*store.read(k)]):
        with pytest.raises(KeyError):
            call(key)


PARTS = ["", "bytes=0-9", "bytes=1000-", "bytes=-24", "bytes=5-5", "bytes=0-99999", "bytes=1024-", "bytes=2000-2001"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_file_is_the_same_from_both(store: Store, tmp_path: Path, part: str) -> None:
    put(store, "videos/a/1/video.mp4", TEXT, tmp_path)

    def answer(request: Request) -> Response:
        return stored(
            store, "videos/a/1/video.mp4", request.headers, media_type="video/mp4", filename="a.mp4",
            headers={"etag": '"x"'},
        )  # fmt: skip

    with TestClient(Starlette(routes=[Route("/", answer)])) as client:
        got = client.get("/", headers={"range": part} if part else {})
        if part in ("bytes=1024-", "bytes=2000-2001"):
            assert (got.status_code, got.headers["content-range"]) == (416, "bytes */1024")
            return
        wanted = {"bytes=0-9": TEXT[:10], "bytes=1000-": TEXT[1000:], "bytes=-24": TEXT[-24:], "bytes=5-5": TEXT[5:6]}
        assert got.content == wanted.get(part, TEXT)
        assert got.headers["content-length"] == str(len(got.content))
        assert (got.headers["content-type"], got.headers["etag"]) == ("video/mp4", '"x"')
        assert got.headers["content-disposition"] == 'attachment; filename="a.mp4"'
        if part:
            first = TEXT.index(got.content) if len(got.content) > 1 else 5
            first = {"bytes=1000-": 1000, "bytes=-24": 1000}.get(part, first)
            assert got.status_code == 206
            assert got.headers["content-range"] == f"bytes {first}-{first + len(got.content) - 1}/1024"
            stale = client.get("/", headers={"range": part, "if-range": '"y"'})
            assert (stale.status_code, stale.content) == (200, TEXT)
        else:
            assert (got.status_code, got.headers["accept-ranges"]) == (200, "bytes")


@pytest.mark.parametrize("url", ["s3://", "s3://b?colour=red", "gs://b", "http://b"])
def test_urls_that_are_no_store(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError):
        store_of(ServeConfig(data=tmp_path, store=url))


def test_a_bucket_out_of_reach_is_told_from_a_missing_file(s3: str, tmp_path: Path) -> None:
    wrong = store_of(ServeConfig(data=tmp_path, store=s3.replace("s3://videos", "s3://nobody-made-this")))
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises((KeyError, StoreError)):
        wrong.put("videos/a/1/video.mp4", tmp_path / "source")
    assert issubclass(StoreError, HaneulError)


def test_expired_files_leave_the_bucket(s3: str, tmp_path: Path) -> None:
    url = s3.replace("of/haneul", "of/expiry")
    service = Service(ServeConfig(data=tmp_path / "data", store=url, retention=0.1))
    for name in ("old", "new"):
        service.jobs.submit(NewJob(id=name, owner="ann", mode="generate", request={}, seconds=1.0))
    old = service.jobs.claim("w")
    assert old is not None
    for name in ("old", "new"):
        put(service.store, f"videos/{name}/1/video.mp4", b"x", tmp_path)
    assert service.jobs.complete(old, {}, size=1)
    wait_for(lambda: time.time() > (service.jobs.get("old", "ann") or old).expires_at, 5)  # type: ignore[operator]
    service.clean()
    assert list(service.store.groups("videos", older=-60)) == ["new"]
    service.db.close()


def test_two_machines_share_a_database_and_a_bucket(serving_home: Path, tmp_path: Path, postgres: str, s3: str) -> None:
    """The API on one, the worker on another: nothing is shared but the two URLs."""
    emptied(postgres)
    shared = ["--jobs", postgres, "--store", s3]
    here = Running(
        serving_home, tmp_path / "here", "--workers", "0", "--store", s3, ready=False, jobs=postgres
    )  # fmt: skip
    there = subprocess.Popen(
        [sys.executable, "-m", "haneul", "worker", "--steps", "1", "--data", str(tmp_path / "there"), *shared],
        env=os.environ | {"HANEUL_HOME": str(serving_home), "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        first = here.over(here.make()["id"])
        assert (first["status"], first["error"]) == ("completed", None)
        again = here.http.post(f"/videos/{first['id']}/remix", json={"prompt": "a blue ball"})
        content = here.http.get(f"/videos/{first['id']}/content")
        assert content.status_code == 200
        assert content.content[4:8] == b"ftyp"
        part = here.http.get(f"/videos/{first['id']}/content", headers={"range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
        etag = {"if-none-match": content.headers["etag"]}
        assert here.http.get(f"/videos/{first['id']}/content", headers=etag).status_code == 304
        assert here.http.post("/haneul/verify", json={"video_id": first["id"]}).json()["state"] == "trusted"
        assert here.over(again.json()["id"])["status"] == "completed"
        assert not (tmp_path / "here" / "store").exists()
        assert here.http.delete(f"/videos/{again.json()['id']}").status_code == 200
        service_store = store_of(ServeConfig(data=tmp_path / "eyes", store=s3))
        assert list(service_store.groups("videos", older=-60)) == [first["id"]]
    finally:
        there.terminate()
        ended = here.stop(), there.wait(30)
    assert ended == (0, 0)
