"""What the service refuses: strangers, other sites' pages, addresses inside, hostile files, too much."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from serving import ROOT, Running

from haneul.errors import InputError
from haneul.serve import decode
from haneul.serve.fetch import Outside, is_public
from haneul.serve.jobs import Limits
from haneul.serve.keys import Keys
from haneul.serve.media import data_of
from haneul.video.io import write_mp4

# ------------------------------------------------------------------------------------------------- who may call


def test_headers_of_every_answer(service: Running) -> None:
    for answer in (service.http.get("/videos"), service.http.get("/none"), service.http.get(f"{service.root}/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"].startswith("req_")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
    assert service.http.get("/none").json()["error"]["code"] == "not_found"


def test_pages_of_other_sites_and_rebound_names_are_refused(service: Running) -> None:
    page = {"origin": "https://evil.example"}
    assert service.http.post("/videos", json={"prompt": "x"}, headers=page).status_code == 403
    assert service.http.get("/videos", headers={"host": "evil.example:8000"}).status_code == 403
    own = {"origin": service.root}
    assert service.http.get("/videos", headers=own).status_code == 200


def test_a_wrong_key_is_refused_even_where_none_is_needed(service: Running) -> None:
    answer = service.http.get("/videos", headers={"authorization": "Bearer hnl_0123_x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_keys_are_needed_on_other_addresses(serving_home: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    environment = os.environ | {"HANEUL_HOME": str(serving_home), "PYTHONPATH": str(ROOT)}

    def haneul(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "haneul", *words, "--data", str(data)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    refused = haneul("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "haneul keys create" in refused.stderr
    reader, writer = (
        haneul("keys", "create", *words).stdout.strip() for words in (("eye", "--scope", "read"), ("hand",))
    )
    assert writer.encode() not in (data / "jobs.sqlite").read_bytes()
    running = Running(serving_home, data, "--host", "0.0.0.0", "--workers", "0", ready=False)
    try:

        def call(method: str, path: str, key: str | None, **given: Any) -> int:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            url = running.url.replace("0.0.0.0", "127.0.0.1")
            return httpx2.request(method, f"{url}{path}", headers=headers, timeout=60, **given).status_code

        body = {"json": {"prompt": "a red ball"}}
        assert call("GET", "/videos", None) == 401
        assert call("GET", "/videos", "sk-other") == 401
        assert call("GET", "/videos", reader) == 200
        assert call("POST", "/videos", reader, **body) == 403
        assert call("POST", "/videos", writer, **body) == 200
        assert call("GET", "/../metrics", writer) == 403
        identity = writer.split("_")[1]
        rotated = haneul("keys", "rotate", identity).stdout.strip()
        assert call("GET", "/videos", writer) == 401
        assert call("GET", "/videos", rotated) == 200
        assert haneul("keys", "revoke", identity).returncode == 0
        assert call("GET", "/videos", rotated) == 401
        assert "revoked" in haneul("keys", "list").stdout
        assert haneul("keys", "revoke", identity).returncode == 2
    finally:
        running.stop()


def test_a_key_sees_its_own_videos_only(service: Running) -> None:
    from haneul.serve.database import Database

    database = Database(service.data / "jobs.sqlite")
    ann, bob = (Keys(database).create(name, limits=Limits(requests_per_minute=1)) for name in ("ann", "bob"))
    database.close()

    def headers(key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    body = {"prompt": "a red ball", "seconds": "0.2", "size": "64x64"}
    video = service.http.post("/videos", json=body, headers=headers(ann)).json()["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
        assert service.http.request(method, f"/videos/{video}{path}", headers=headers(bob)).status_code == 404
    assert service.http.post(f"/videos/{video}/remix", json={"prompt": "x"}, headers=headers(bob)).status_code == 404
    assert service.http.get("/videos", headers=headers(bob)).json()["data"] == []
    more = service.http.post("/videos", json=body, headers=headers(ann))
    assert (more.status_code, more.headers["retry-after"]) == (429, "10")
    assert more.json()["error"]["code"] == "rate_limit_exceeded"
    assert service.http.delete(f"/videos/{video}", headers=headers(ann)).status_code == 200


# --------------------------------------------------------------------------------------------- addresses inside


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1 255.255.255.255 192.0.2.1 "
    "198.18.0.1 :: ::1 fe80::1 fe80::1%eth0 fc00::1 fec0::1 ff02::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: "
    "2001:db8::1 nonsense".split(),
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_public_addresses() -> None:
    assert all(map(is_public, ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822")))


class Site(BaseHTTPRequestHandler):
    """A picture, redirects, and answers that never end."""

    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].partition("/")
        if kind == "head":  # that never ends
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                for _ in range(200):
                    self.wfile.write(b"x: y\r\n")
                    time.sleep(0.05)
            except OSError:
                pass
            return
        self.send_response(302 if kind == "to" else 404 if kind == "none" else 200)
        if kind == "to":
            self.send_header("location", base64.urlsafe_b64decode(rest).decode())
        self.end_headers()
        if kind == "picture":
            self.wfile.write(picture())
        elif kind == "drops":
            try:
                while True:
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                pass
        elif kind == "endless":
            try:
                while True:
                    self.wfile.write(bytes(2**16))
            except OSError:
                pass

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = HTTPServer(("localhost", 0), Site)
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def moved(site: str, target: str) -> str:
    return f"{site}/to/{base64.urlsafe_b64encode(target.encode()).decode()}"


def picture(width: int = 32, height: int = 32, kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(made, kind)
    return made.getvalue()


def test_references_are_fetched_from_public_addresses_only(site: str, tmp_path: Path) -> None:
    port = site.rpartition(":")[2]
    target = tmp_path / "got"
    outside = Outside()
    for url in (
        f"{site}/picture", f"http://127.0.0.1:{port}/picture", f"http://127.1:{port}/picture",
        f"http://2130706433:{port}/picture", f"http://0x7f.1:{port}/picture", f"http://[::1]:{port}/picture",
        f"http://[::ffff:127.0.0.1]:{port}/picture", "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd", "ftp://example.com/x", "gopher://example.com", "//example.com", "http://", "http:///x",
        f"http://user:pass@localhost:{port}/picture", "http://exa mple.com/", "http://example.com:99999/",
        "http://example.com/\r\nx: y",
    ):  # fmt: skip
        with pytest.raises(InputError):
            outside.download(url, target, most=1000)
    outside.close()
    assert not target.exists()


def test_redirects_and_endless_answers(site: str, tmp_path: Path) -> None:
    outside = Outside([site.removeprefix("http://")])
    target = tmp_path / "got"
    outside.download(moved(site, moved(site, f"{site}/picture")), target, most=10_000)
    assert target.read_bytes() == picture()
    for inside in (
        f"http://127.0.0.1:{site.rpartition(':')[2]}/picture",
        "file:///etc/passwd",
        "/none",
        "http://[::1]/",
    ):
        with pytest.raises(InputError):
            outside.download(moved(site, inside), target, most=10_000)
    around = f"{site}/picture"
    for _ in range(4):
        around = moved(site, around)
    with pytest.raises(InputError, match="more than 3 times"):
        outside.download(around, target, most=10_000)
    with pytest.raises(InputError, match="larger than"):
        outside.download(f"{site}/endless", target, most=2**20)
    with pytest.raises(InputError, match="too slowly"):
        outside.download(f"{site}/endless", target, most=2**40, seconds=0.3)
    outside.close()


def test_who_answers_drop_by_drop_is_not_waited_for(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Outside([site.removeprefix("http://")])
    for path in ("drops", "head"):
        began = time.monotonic()
        with pytest.raises(InputError, match="too slowly"):
            outside.download(f"{site}/{path}", tmp_path / "got", most=2**20, seconds=0.5)
        assert time.monotonic() - began < 5
    began = time.monotonic()
    with pytest.raises(InputError, match="no answer"):
        outside.post(f"{site}/head", b"{}", {"content-length": "2"}, seconds=0.5)
    silent = threading.Event()

    def never(*_: object, **__: object) -> list[Any]:
        silent.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    with pytest.raises(InputError, match="too slowly"):
        outside.download("https://example.com/x.png", tmp_path / "got", most=2**20, seconds=0.3)
    assert time.monotonic() - began < 5
    silent.set()
    outside.close()


def test_a_reference_by_url_through_the_service(service: Running, site: str) -> None:
    video = service.make(input_reference={"image_url": f"{site}/picture"})
    assert service.over(video["id"])["status"] == "completed"
    body = {"prompt": "a ball", "input_reference": {"image_url": site.replace("localhost", "127.0.0.1")}}
    refused = service.http.post("/videos", json=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "not on the public internet" in refused.json()["error"]["message"]
    hook = {"name": "x", "url": "http://169.254.169.254/", "event_types": ["video.failed"]}
    assert service.http.post("/webhook_endpoints", json=hook).status_code == 400


# ------------------------------------------------------------------------------------------------- hostile files


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width: int, height: int) -> bytes:
    """A valid small file of an enormous picture."""
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 + width // 8)) for _ in range(min(height, 20_000))) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def clip_bytes(plain: Path) -> bytes:
    return plain.read_bytes()


def hostile(clip: bytes) -> dict[str, bytes]:
    """Over a hundred files that must not be taken."""
    good = {"png": picture(), "jpg": picture(kind="JPEG"), "webp": picture(kind="WEBP")}
    files = {
        "empty": b"", "zeros": bytes(5000), "text": b"hello" * 99, "html": b"<html><script>alert(1)</script>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "gif": picture(kind="GIF"), "bmp": picture(kind="BMP"), "tiff": picture(kind="TIFF"),
        "ico": picture(kind="ICO"),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "zip": b"PK\x03\x04" + bytes(99),
        "elf": b"\x7fELF" + bytes(99), "pickle": b"\x80\x04cposix\nsystem\n", "pdf": b"%PDF-1.7\n",
        "gzip": b"\x1f\x8b\x08" + bytes(99), "wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(99), "avi": b"RIFF\0\0\0\0AVI ",
        "bomb": png_bomb(30_000, 30_000), "wide bomb": png_bomb(2**31 - 1, 1), "tall bomb": png_bomb(8, 2**31 - 1),
        "one pixel": picture(1, 1), "magic alone": b"\x89PNG\r\n\x1a\n", "jpeg magic": b"\xff\xd8\xff\xe0",
        "webp magic": b"RIFF\xff\xff\xff\xffWEBPVP8 ", "ftyp": b"\0\0\0\x18ftypisom" + bytes(16),
        "ftyp and html": b"\0\0\0\x18ftypisom" + b"<script>" * 99, "webm magic": b"\x1aE\xdf\xa3" + bytes(99),
        "png with mp4 in it": b"\x89PNG\r\n\x1a\n" + clip, "jpeg then html": b"\xff\xd8\xff\xe0<html>" * 9,
        "mp4 whose box is endless": b"\0\0\0\x01ftyp" + b"\xff" * 8 + clip[16:],
        "mp4 without index": clip[:32] + bytes(200),
        "deep boxes": b"\0\0\0\x18ftypisom" + bytes(12) + b"".join(
            struct.pack(">I", 9000 - 8 * n) + b"moov" for n in range(1000)
        ),
    }  # fmt: skip
    for name, whole in (*good.items(), ("mp4", clip)):
        for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75):
            files[f"{name} cut at {share}"] = whole[: int(share * len(whole))]
    noise = np.random.default_rng(0)
    for n in range(20):
        for head in (b"\xff\xd8\xff", b"\0\0\0\x18ftypmp42"):
            files[f"noise {n} {head[:3].hex()}"] = head + noise.bytes(int(noise.integers(20, 3000)))
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    files["text bomb"] = header + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8))) + chunk(b"IEND", b"")
    files["wrong length"] = header + struct.pack(">I", 2**31 - 1) + b"IDAT"
    return files


def test_hostile_files_are_refused_quickly_and_nothing_dies(service: Running, clip_bytes: bytes) -> None:
    files = hostile(clip_bytes)
    assert len(files) >= 100
    slowest = 0.0
    taken = []
    for name, content in files.items():
        began = time.monotonic()
        answer = service.http.post(
            "/files", files={"file": (f"{name}.png", content, "image/png")}, data={"purpose": "user_data"}
        )
        slowest = max(slowest, time.monotonic() - began)
        if answer.status_code != 400 or answer.json()["error"]["type"] != "invalid_request_error":
            taken.append((name, answer.status_code))
    assert taken == []
    print(f"{len(files)} hostile files, the slowest took {slowest:.2f} s")
    assert slowest < 8  # 2 on a machine that does nothing else
    assert service.http.get(f"{service.root}/readyz").status_code == 200
    assert not list((service.data / "staging").iterdir())


def test_a_file_of_the_wrong_kind(service: Running, clip_bytes: bytes) -> None:
    answer = service.http.post(
        "/videos", data={"prompt": "x"}, files={"input_reference": ("a.png", clip_bytes, "image/png")}
    )
    assert answer.status_code == 400
    assert "a picture is needed" in answer.json()["error"]["message"]
    assert not list((service.data / "store").glob("inputs/*/input_reference.mp4"))


def test_good_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(picture(48, 32, "JPEG"))
    found = decode.inspect(tmp_path / "a")
    assert (found.kind, found.suffix, found.width, found.height) == ("picture", ".jpg", 48, 32)
    write_mp4(np.zeros((12, 64, 96, 3), np.uint8), tmp_path / "b.mp4", fps=24)
    (tmp_path / "b.mp4").rename(tmp_path / "b")
    found = decode.inspect(tmp_path / "b", want="video")
    assert (found.kind, found.frames, found.seconds) == ("video", 12, 0.5)


def test_the_decoder_may_use_little_memory_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(picture(6000, 6000))
    assert decode.inspect(tmp_path / "a").width == 6000
    monkeypatch.setattr(decode, "SECONDS", 0.05)
    with pytest.raises(InputError, match="too long"):
        decode.inspect(tmp_path / "a")


@pytest.mark.parametrize("url", ["data:image/png,abc", "data:;base64,%%%", "data:image/png;base64,A", "data:"])
def test_data_urls_that_are_none(url: str) -> None:
    with pytest.raises(InputError):
        data_of(url)


# ------------------------------------------------------------------------------------------------------ too much


def test_too_long_a_body_is_not_read(service: Running) -> None:
    host, port = service.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        head = f"POST /v1/videos HTTP/1.1\r\nHost: {host}\r\nContent-Length: {2**40}\r\n\r\n"
        raw.sendall(head.encode())
        assert raw.recv(20).startswith(b"HTTP/1.1 413")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(f"GET /v1/videos HTTP/1.1\r\nHost: {host}\r\nX-Long: ".encode() + b"a" * 2**20)
        assert raw.recv(20).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"seconds": "-1"}, "seconds"), ({"seconds": "1e9"}, "seconds"), ({"seconds": "nan"}, "seconds"),
        ({"seconds": "four"}, "seconds"), ({"seconds": 300}, "seconds"), ({"size": "99999x99999"}, None),
        ({"size": "64x65"}, None), ({"size": "0x0"}, None), ({"steps": 10**9}, "steps"), ({"seed": -1}, "seed"),
        ({"prompt": "x" * 40_000}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": ["a"]}, "prompt"),
        ({"priority": 3.5}, "priority"), ({"priority": 99}, "priority"), ({"camera": "fly to the moon"}, None),
        ({"input_reference": {}}, "input_reference"), ({"input_reference": {"file_id": "../../etc"}}, "file_id"),
        ({"input_reference": {"image_url": "x", "file_id": "y"}}, "input_reference"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_met(service: Running, given: dict[str, Any], param: str | None) -> None:
    answer = service.http.post("/videos", json={"prompt": "a red ball"} | given)
    assert answer.status_code in (400, 404), answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"[" * 100_000, b'{"prompt": "\xff"}'])
def test_bodies_that_are_no_json(service: Running, body: bytes) -> None:
    answer = service.http.post("/videos", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_forms_that_are_none(service: Running) -> None:
    kind = {"content-type": "multipart/form-data"}
    assert service.http.post("/videos", content=b"x", headers=kind).status_code == 400
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert service.http.post("/videos", content=b"--b\r\nnonsense", headers=kind).status_code == 400
    assert service.http.post("/videos", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    many = {f"f{n}": "x" for n in range(100)}
    assert service.http.post("/videos", data=many, files={"a": b"x"}).status_code == 400


def test_paths_lead_nowhere(service: Running) -> None:
    for path in ("/videos/..%2f..%2fjobs.sqlite/content", "/videos/%00/content", "/files/..%2f/content"):
        assert service.http.get(path).status_code == 404


def test_what_the_log_says_and_does_not_say(service: Running) -> None:
    service.http.delete(f"/videos/{service.make(prompt='a hidden teapot')['id']}")
    service.http.post("/videos", json={"prompt": "a hidden teapot", "teapot": 1})
    lines = [line for line in service.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    assert all(json.loads(line) for line in lines)
    assert any('"route": "/v1/videos"' in line for line in lines)
    assert "hidden teapot" not in service.log.read_text(encoding="utf-8")


def test_figures_for_prometheus(service: Running) -> None:
    text = service.http.get(f"{service.root}/metrics").text
    assert "haneul_workers 1.0" in text
    assert 'haneul_requests_total{method="GET",route="/v1/videos",status="200"}' in text


def test_what_a_path_allows(service: Running) -> None:
    answer = service.http.put("/videos/video_1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")
    assert answer.json()["error"]["code"] == "method_not_allowed"
