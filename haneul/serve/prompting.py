"""What the model makes of a prompt, told before anything is made.

It needs the model's text encoder, which the process that answers must not hold: so a program of its own is started at
the first question (`python -m haneul.serve.prompting`), answers lines of JSON by lines of JSON, and ends with whoever
asked. It writes nothing, not even to the audit log: nothing is made, so nothing is decided.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import Any

from haneul.errors import InputError

SECONDS = 20.0  #: for one answer
LOADING = 600.0  #: seconds until the model is loaded; a busy machine may need some
PATIENCE = 30.0  #: seconds for which a question waits for its turn and for the model


class Prompting:
    """The program, as the service sees it: one question at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._program: subprocess.Popen[str] | None = None
        self._ready, self._began = False, 0.0

    def warm(self) -> None:
        """Starts the program if it does not run, so that the first question waits less; does not wait itself."""
        if self._turn.acquire(blocking=False):
            try:
                self._running()
            finally:
                self._turn.release()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """What `answer` says. Raises InputError for a prompt that cannot be used, Problem when no answer comes."""
        from haneul.serve.problems import busy, still_working  # which the program does not need

        ends = time.monotonic() + PATIENCE
        if not self._turn.acquire(timeout=PATIENCE):
            raise busy()
        try:
            line = self._asked(question, ends) or self._asked(question, ends)  # once more, should the program have died
        except TimeoutError:
            raise still_working("the model that reads prompts is being loaded") from None
        finally:
            self._turn.release()
        if not line:
            raise busy("the model did not read the prompt in time; try again")
        found: dict[str, Any] = json.loads(line)
        if "problem" in found:
            raise InputError(found["problem"])
        return found

    def _asked(self, question: dict[str, Any], ends: float) -> str:
        """The answer as a line, or nothing: then the program has ended. Raises TimeoutError where it still loads."""
        program = self._running()
        assert program.stdin is not None
        assert program.stdout is not None
        if not self._ready:
            if not select.select([program.stdout], [], [], max(0.0, ends - time.monotonic()))[0]:
                if time.monotonic() - self._began > LOADING:
                    self._end()
                raise TimeoutError
            self._ready = bool(program.stdout.readline())
        try:
            program.stdin.write(json.dumps(question) + "\n")
            program.stdin.flush()
            line = self._line(program, SECONDS)
        except OSError:
            line = ""
        if not line:
            self._end()
        return line

    @staticmethod
    def _line(program: subprocess.Popen[str], seconds: float) -> str:
        """The next line, for which the program has some time before it is ended."""
        assert program.stdout is not None
        late = threading.Timer(seconds, program.kill)
        late.start()
        try:
            return program.stdout.readline()
        finally:
            late.cancel()

    def _running(self) -> subprocess.Popen[str]:
        if self._program is None or self._program.poll() is not None:
            self._end()
            self._began = time.monotonic()
            self._program = subprocess.Popen(
                [sys.executable, "-m", "haneul.serve.prompting"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, encoding="utf-8",
            )  # fmt: skip
        return self._program

    def _end(self) -> None:
        self._ready = False
        if self._program is not None:
            self._program.kill()
            with contextlib.suppress(OSError):  # what was on its way to it
                self._program.communicate()
            self._program = None

    def stop(self) -> None:
        """Ends the program; it is started anew by the next question."""
        program = self._program
        if program is not None:
            program.kill()
            with contextlib.suppress(OSError):
                program.communicate()  # closes its ends


# ----------------------------------------------------------------------------------------------------- the program


def main() -> None:
    from haneul.backbones.base import Backbone, Request
    from haneul.config import load_settings
    from haneul.engine import camera_slot, default_backbone, understood_json
    from haneul.prompt import camera, language
    from haneul.screen import look
    from haneul.screen.policy import load_policy

    with contextlib.suppress(OSError):
        os.nice(5)
    settings = load_settings()
    backbone: Backbone = default_backbone(settings)
    able = backbone.capabilities()

    def answer(prompt: str, remember: str, seed: int, way: str, expand: bool) -> dict[str, Any]:
        checked = language.check(prompt)
        about = language.check(remember).encoded if remember.strip() else ""
        if way:
            camera.parse(way)
        request = Request(
            prompt=checked.encoded, remember=about, expand=expand, seed=seed, fixed=camera_slot(way or None),
            steps=able.default_steps, guidance=able.default_guidance,
        )  # fmt: skip
        said = understood_json(backbone.understood(checked.encoded))
        kept = understood_json(backbone.understood(checked.encoded, about)) if about else {}
        policy = load_policy(settings)  # as it is now: a site may change it meanwhile
        rows = {f.category: f for part in (prompt, remember) if part.strip() for f in look(policy, part)}
        findings = [
            {"code": name, "title": category.title, "action": category.action, "advice": category.advice}
            for name, category in policy.categories.items()
            if name in rows and category.action != "allow"
        ]
        return {
            "language": checked.language, "said": said,
            "remembered": {slot: told for slot, told in kept.items() if slot not in said},
            "filled": backbone.expanded(request) if expand or request.fixed else {},
            "unknown": [{"word": w, "nearest": near} for w, near in backbone.unknown_words(checked.encoded).items()],
            "findings": findings,
        }  # fmt: skip

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        try:
            found = answer(**json.loads(line))
        except InputError as error:
            found = {"problem": " ".join(str(error).split())}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
