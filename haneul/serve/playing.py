"""The program that plays one world for the service: `python -m haneul.serve.playing`, which plays.py starts.

Lines of JSON come in, records go out: the length of what is told and of the picture (4 bytes each, big-endian), what is
told as JSON, the picture as JPEG. It ends with whoever started it: at the end of its input, whatever it does just then.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from haneul.serve import children

HEAD = struct.Struct(">II")  #: lengths of what is told and of the picture
QUALITY = 88  #: of the JPEG pictures


def record(told: dict[str, Any], picture: bytes = b"") -> bytes:
    text = json.dumps(told, ensure_ascii=False).encode()
    return HEAD.pack(len(text), len(picture)) + text + picture


class Out:
    """Where records go, one at a time."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe, self._turn = pipe, threading.Lock()

    def __call__(self, told: dict[str, Any], picture: bytes = b"") -> None:
        with self._turn:
            try:
                self._pipe.write(record(told, picture))
                self._pipe.flush()
            except BrokenPipeError:
                os._exit(0)


def problem_of(error: BaseException) -> dict[str, Any]:
    """An error as it is told; plays.py makes it one again."""
    from haneul.errors import HaneulError, RefusedError

    ours = isinstance(error, HaneulError)
    return {
        "kind": type(error).__name__ if ours else "HaneulError",
        "message": " ".join(str(error).split()) if ours else "a defect of the service; its log tells more",
        "code": error.code if isinstance(error, RefusedError) else None,
    }


def main() -> None:
    children.begin(children.PLAY)
    out = Out(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what else is printed must not come between
    threading.Thread(target=_outlive_nobody, name="parent", daemon=True).start()
    import torch

    torch.set_num_threads(1)
    from haneul.errors import HaneulError
    from haneul.serve import logs

    logs.set_up("play")
    try:
        stage = Stage(out)
    except HaneulError as error:
        out({"problem": problem_of(error)})
        return
    out({"ready": True})
    for line in sys.stdin.buffer:
        try:
            stage.hear(json.loads(line))
        except HaneulError as error:
            out({"problem": problem_of(error)})
    os._exit(0)


def _outlive_nobody() -> None:
    """Whoever started this may die without closing its end, where others have copies of it."""
    import time

    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


class Stage:
    """What one world needs, loaded before anybody has asked for one."""

    def __init__(self, out: Out) -> None:
        import numpy as np

        from haneul.backbones.live import Live, Ride
        from haneul.backbones.native import BUNDLED
        from haneul.config import load_settings
        from haneul.play import SCALE, Player, World
        from haneul.serve import loaded
        from haneul.trust.imprint import fixed, imprint
        from haneul.video.picture import enlarged
        from haneul.video.steepen import steepened
        from haneul.world.journey import Journey

        self.out, self.settings = out, load_settings()
        self.live = Live(self.settings.weights or BUNDLED)
        loaded.attempt(loaded.screen)
        scene = self.live.scene("", 0)  # and what is compiled at first use
        ride = Ride(self.live, scene, Journey(scene.kind, scene.setting, 0))
        for _ in range(2):
            picture = steepened(enlarged(ride.picture(ride.next(0.0, 1.0)), SCALE))
        imprint(picture, fixed(np.zeros(picture.shape[:2], np.float32)), 4)
        self.world: World | None = None
        self.player: Player | None = None

    def hear(self, said: dict[str, Any]) -> None:
        """One word of the service. Raises HaneulError for a world that cannot be."""
        match said:
            case {"keys": [number, steer, go]}:
                from haneul.play import Keys

                if self.player is not None:
                    self.player.keys = Keys(steer, go, number)
            case {"start": {"prompt": prompt, "seed": seed}}:
                self.start(prompt, seed)
            case {"pause": bool(pause)}:
                self.pause() if pause else self.go_on()
            case {"keep": str(path), "seconds": seconds}:
                assert self.world is not None
                kept = self.world.kept(seconds)
                kept.write(Path(path))
                self.out({"kept": {"frames": len(kept.frames)}})

    def start(self, prompt: str, seed: int | None) -> None:
        from haneul.play import World

        self.world = world = World(prompt, seed=seed, settings=self.settings, live=self.live)
        self.out(
            {
                "world": {
                    "seed": world.seed, "said": world.scene.said, "added": world.scene.added,
                    "warnings": world.warnings, "size": list(world.size), "fps": world.fps,
                }
            }
        )  # fmt: skip

    def go_on(self) -> None:
        from haneul.play import Player, Shown

        if self.world is None or self.player is not None:
            return

        def look(shown: Shown) -> None:
            from PIL import Image

            picture = io.BytesIO()
            Image.fromarray(shown.picture).save(picture, "JPEG", quality=QUALITY)
            near = [[round(value, 1) for value in thing] for thing in shown.near]
            told = {"number": shown.number, "keys": shown.keys.number, "delay": round(shown.delay, 4), "near": near}
            self.out(told, picture.getvalue())

        self.player = player = Player(self.world, look)
        player.start()
        threading.Thread(target=self._watch, args=(player,), name="watch", daemon=True).start()

    def _watch(self, player: Any) -> None:
        player.wait()
        if player.failure is not None:
            import logging

            logging.getLogger("haneul.serve.play").warning("the ride ended: %r", player.failure)
            self.out({"over": problem_of(player.failure)})
            os._exit(1)

    def pause(self) -> None:
        if self.player is not None:
            self.player.stop()
            self.player = None


if __name__ == "__main__":
    main()
