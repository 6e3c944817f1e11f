"""The `openai` package of npm, unmodified, against a running `haneul serve`; where Node is there."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from npm import script_beside
from serving import Running

from haneul.serve.webhooks import event, new_secret, signed

VERSION = "6.49.0"


@pytest.fixture(scope="module")
def script(request: pytest.FixtureRequest) -> Path:
    """The script, beside the package that it needs."""
    return script_beside(request, "npm_sdk.mjs", "openai", VERSION)


def test_every_method_of_the_npm_package(service: Running, script: Path) -> None:
    now, secret = time.time(), new_secret()
    told = event("video.completed", "video_1", now)
    body = json.dumps(told)
    hook = {"body": body, "headers": signed([secret], told["id"], body.encode(), now), "secret": secret}
    done = subprocess.run(
        ["node", str(script), service.url, json.dumps(hook)], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "all well"), done.stderr[-2000:]
