"""Worlds that are played: each in a program of its own (playing.py), which this starts, watches and ends.

All of it runs in the event loop of the API process. A world's pictures go to whoever reads them, the newest one only,
so that a slow reader is late by one picture and not by many. A world that nobody looks at rests at once, and ends some
seconds later; so does one whose keys nobody has touched for long. What was not saved of it is put aside for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from haneul import errors
from haneul.errors import HaneulError, RefusedError
from haneul.serve.config import ServeConfig
from haneul.serve.playing import HEAD, record
from haneul.serve.problems import Problem, busy, not_found, still_working

LOADING = 180.0  #: seconds until a program must be ready
PATIENCE = 35.0  #: seconds for which who begins waits for that
BEGINNING = 20.0  #: seconds until a world must be begun
SPARE = 120.0  #: seconds that a program waits, loaded, for somebody to begin
UNTOUCHED = 600.0  #: seconds without another key until a world ends though somebody looks
REMEMBERED = 300.0  #: seconds for which it is told why a world ended
ASIDE = 3600.0  #: seconds for which a ride that nobody stopped can be saved still
WORTH = 24  #: pictures from which on that is done
_LOOK = 0.25  # seconds between looks at who looks
_KEEPING = 15.0  # seconds for a ride to be written
Reason = Literal["stopped", "idle", "refused", "failed", "died", "closed"]
ALIVE = 5.0  #: seconds without a picture after which a reader is told that the world still is there


@dataclass(frozen=True, kw_only=True)
class Held:
    """What is held, and the number of this change; see `haneul.play.Keys`, which would load the model's libraries."""

    number: int = 0
    steer: float = 0.0
    go: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a world as it is sent, record and all."""

    number: int
    sent: bytes


@dataclass(frozen=True, kw_only=True)
class End:
    """Why a world is over."""

    reason: Reason
    message: str
    code: str | None = None
    at: float = field(default_factory=time.monotonic)


class Program:
    """One running playing.py. It says `ready` once, and then answers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.since = time.monotonic()

    @classmethod
    async def run(cls) -> Program:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "haneul.serve.playing", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, start_new_session=True,  # Ctrl-C in a terminal is for the supervisor
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # two threads of its own share the work
        )  # fmt: skip
        return cls(process)

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def say(self, said: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        if self.alive and not self.process.stdin.is_closing():
            self.process.stdin.write(json.dumps(said).encode() + b"\n")

    async def hear(self) -> tuple[dict[str, Any], bytes]:
        """The next record. Raises EOFError at the end."""
        assert self.process.stdout is not None
        try:
            told, picture = HEAD.unpack(await self.process.stdout.readexactly(HEAD.size))
            text = await self.process.stdout.readexactly(told)
            return json.loads(text), await self.process.stdout.readexactly(picture)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None

    async def answer(self, name: str, seconds: float) -> dict[str, Any]:
        """What it says under a name, next. Raises the error that it says instead, and Problem when it dies, or takes
        longer and therefore is ended."""
        try:
            told, _ = await asyncio.wait_for(self.hear(), seconds)
        except (EOFError, TimeoutError):
            await self.end()
            raise busy("the world could not be begun; try again") from None
        if "problem" in told:
            raise error_of(told["problem"])
        found: dict[str, Any] = told[name] if isinstance(told[name], dict) else {}
        return found

    async def end(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()


def error_of(problem: dict[str, Any]) -> HaneulError:
    """An error that the program told."""
    if problem["kind"] == "RefusedError":
        return RefusedError(problem["message"], problem["code"])
    kind = getattr(errors, problem["kind"], HaneulError)
    made: HaneulError = kind(problem["message"])
    return made


class Play:
    """One world. `told` is what its program said of it."""

    def __init__(self, owner: str, prompt: str, program: Program, told: dict[str, Any], config: ServeConfig) -> None:
        self.id, self.owner, self.prompt, self.told = f"world_{secrets.token_hex(16)}", owner, prompt, told
        self.created_at = time.time()
        self.end: End | None = None
        self.keys = Held()
        self.frames = 0
        self.aside = 0  # frames of the ride that was put aside at the end
        self._saved = 0  # frames when it was saved last
        self._idle, self._most = config.world_idle, config.max_seconds
        self._ride = rides_of(config) / f"{self.id}.safetensors"
        self._program = program
        self._latest: Picture | None = None
        self._news = asyncio.Event()
        self._readers: dict[object, float | None] = {}  # reader -> when it was handed what it has not taken yet
        self._looked = self._touched = time.monotonic()
        self._resting = True
        self._keeping: asyncio.Future[int] | None = None
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._watch())]

    @property
    def watched(self) -> bool:
        """Whether somebody takes the pictures."""
        now = time.monotonic()
        return any(since is None or now - since < self._idle for since in self._readers.values())

    # ---------------------------------------------------------------------------------------------- the program

    async def _hear(self) -> None:
        while True:
            try:
                told, picture = await self._program.hear()
            except EOFError:
                await self._over(End(reason="died", message="the program that played this world has died"))
                return
            if picture:
                self.frames = told["number"]
                self._latest = Picture(number=self.frames, sent=record(told, picture))
                self._tell()
            elif "kept" in told or ("problem" in told and self._keeping is not None):
                waiting, self._keeping = self._keeping, None
                if waiting is not None and not waiting.done():
                    if "kept" in told:
                        waiting.set_result(told["kept"]["frames"])
                    else:
                        waiting.set_exception(error_of(told["problem"]))
            elif "over" in told:
                problem = told["over"]
                refused = problem["kind"] == "RefusedError"
                end = End(reason="refused" if refused else "failed", message=problem["message"], code=problem["code"])
                await self._over(end)
                return

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _watch(self) -> None:
        """Rests the world when nobody looks, and ends it when nobody comes back."""
        while self.end is None:
            now, watched = time.monotonic(), self.watched
            if watched:
                self._looked = now
            if watched == self._resting and (watched or now - self._looked > 2 * _LOOK):
                self._resting = not watched
                self._program.say({"pause": not watched})
            if now - self._looked > self._idle:
                await self.leave("idle", "nobody looked any more, so the ride ended")
            elif now - self._touched > UNTOUCHED:
                await self.leave("idle", "nobody touched a key for long, so the ride ended")
            await asyncio.sleep(_LOOK)

    async def _over(self, end: End) -> None:
        if self.end is None:
            self.end = end
            self._tell()
            if self._keeping is not None and not self._keeping.done():
                self._keeping.set_exception(_ended(self))
        await self._program.end()

    # ------------------------------------------------------------------------------------------------ who plays

    async def pictures(self) -> AsyncIterator[bytes]:
        """Records: the newest picture whenever there is a newer one, and the end at last."""
        reader, seen = object(), 0
        self._readers[reader] = None
        if self._resting and self.end is None:
            self._resting = False
            self._program.say({"pause": False})
        try:
            while self.end is None:
                news = self._news
                if self._latest is not None and self._latest.number > seen:
                    seen = self._latest.number
                    sent = self._latest.sent
                else:
                    sent = b""
                    try:
                        await asyncio.wait_for(news.wait(), ALIVE)
                    except TimeoutError:
                        sent = record({"waiting": True})
                if sent:
                    self._readers[reader] = time.monotonic()
                    yield sent
                    self._readers[reader] = None
            yield record({"end": self.end.reason, "message": self.end.message, "code": self.end.code})
        finally:
            self._readers.pop(reader, None)

    def hold(self, keys: Held) -> bool:
        """These keys from now on; False where newer ones came before. Raises Problem for a world that is over."""
        if self.end is not None:
            raise _ended(self)
        if keys.number <= self.keys.number:
            return False
        self.keys, self._touched = keys, time.monotonic()
        self._program.say({"keys": [keys.number, keys.steer, keys.go]})
        return True

    async def keep(self, path: Path, seconds: float) -> int:
        """Writes the last seconds of the ride so far to a file, of one that was put aside too; how many frames. Raises
        InputError where there are none yet, Problem for a world that is over or is being kept just now, and where it
        takes too long."""
        if self.end is not None:
            if not self.aside:
                raise _ended(self)
            return await asyncio.to_thread(_shortened, self._ride, path, max(1, round(seconds * self.told["fps"])))
        return await self._keep(path, seconds)

    async def _keep(self, path: Path, seconds: float) -> int:
        if self._keeping is not None:
            raise Problem(429, "this ride is being saved already", code="busy", headers={"Retry-After": "1"})
        self._keeping = waiting = asyncio.get_running_loop().create_future()
        self._touched = time.monotonic()
        self._program.say({"keep": str(path), "seconds": seconds})
        try:
            return await asyncio.wait_for(waiting, _KEEPING)
        except TimeoutError:
            raise busy("the ride could not be written in time; try again") from None
        finally:
            self._keeping = None

    async def leave(self, reason: Reason, message: str) -> None:
        """Ends it for another reason than its player's wish: what was not saved can be still, for a while."""
        if self.frames - self._saved >= WORTH:
            with contextlib.suppress(HaneulError, Problem, OSError):
                self._ride.parent.mkdir(parents=True, exist_ok=True)
                self.aside = await self._keep(self._ride, self._most)
        await self.stop(reason, message)

    async def stop(self, reason: Reason = "stopped", message: str = "the ride was stopped") -> None:
        await self._over(End(reason=reason, message=message))

    def saved(self, frames: int, at: int) -> None:
        """The last `frames` are a video now, of a ride that had `at` then; if those are all, nothing is left."""
        if frames < min(at, round(self._most * self.told["fps"])):
            return
        self._saved = at
        if self.end is not None:
            self.drop()

    def drop(self) -> None:
        """What was put aside is not wanted any more."""
        self.aside = 0
        self._ride.unlink(missing_ok=True)

    @property
    def forgotten(self) -> bool:
        return self.end is not None and time.monotonic() - self.end.at > (ASIDE if self.aside else REMEMBERED)


def rides_of(config: ServeConfig) -> Path:
    """Where rides are put aside."""
    return config.data / "rides"


def _shortened(ride: Path, path: Path, frames: int) -> int:
    """The last frames of a ride as a file of its own; how many. Raises Problem where it is gone."""
    try:
        with safe_open(ride, framework="numpy") as found:
            last, told = found.get_tensor("frames")[-frames:], found.metadata()
    except OSError as error:
        raise Problem(404, "what was put aside of this ride is gone", code="world_ended") from error
    save_file({"frames": np.ascontiguousarray(last)}, path, metadata=told)
    return len(last)


def _ended(world: Play) -> Problem:
    message = world.end.message if world.end else ""
    return Problem(404, f"{world.id} is over: {message}", code="world_ended")


class Plays:
    """All worlds of this service."""

    def __init__(self, config: ServeConfig) -> None:
        self.config = config
        self.worlds: dict[str, Play] = {}
        self._beginning = 0
        self._spare: Program | None = None
        self._warming: asyncio.Task[None] | None = None
        self._over = False

    @property
    def running(self) -> int:
        return self._beginning + sum(world.end is None for world in self.worlds.values())

    def warm(self) -> None:
        """Loads a program, so that whoever is about to begin waits less; does not wait itself. It ends unused."""
        if not (self._over or self.running >= self.config.worlds or (self._warming and not self._warming.done())):
            self._load()

    def _load(self) -> None:
        self._warming = asyncio.create_task(self._warm())
        self._warming.add_done_callback(lambda done: done.cancelled() or done.exception())  # who begins is told why

    async def _warm(self) -> None:
        """Raises what the program says, or Problem."""
        if self._spare is None or not self._spare.alive:
            self._spare = None
            program = await Program.run()
            try:
                await program.answer("ready", LOADING)
            except BaseException:
                await program.end()
                raise
            if self._over:
                await program.end()
                return
            self._spare = program
        self._wait(self._spare)

    def _wait(self, program: Program) -> None:
        """Keeps a program that is ready for a while."""
        self._spare, program.since = program, time.monotonic()
        asyncio.get_running_loop().call_later(SPARE, lambda: asyncio.ensure_future(self._cool(program)))

    async def _cool(self, program: Program) -> None:
        if program is self._spare and time.monotonic() - program.since >= SPARE - 1:
            self._spare = None
            await program.end()

    async def begin(self, owner: str, prompt: str, seed: int | None) -> Play:
        """A new world. Raises Problem where there are as many as may be, and what `haneul.play.World` raises."""
        self._forget()
        for ride in rides_of(self.config).glob("*.safetensors"):  # of a process that died
            with contextlib.suppress(OSError):
                if time.time() - ride.stat().st_mtime > ASIDE:
                    ride.unlink()
        for world in list(self.worlds.values()):
            if world.owner == owner and world.end is None and not world.watched:
                await world.leave("closed", "another world was begun in its place")
        if self.running >= self.config.worlds:
            raise Problem(
                429, f"as many worlds are played as this service takes at once, {self.config.worlds}; try again later",
                code="worlds_full", headers={"Retry-After": str(round(self.config.world_idle))},
            )  # fmt: skip
        self._beginning += 1
        try:
            program = await self._program()
            program.say({"start": {"prompt": prompt, "seed": seed}})
            try:
                told = await program.answer("world", BEGINNING)
            except HaneulError:
                if program.alive and self._spare is None:
                    self._wait(program)  # it is as good as new
                else:
                    await program.end()
                raise
            except BaseException:
                await program.end()
                raise
        finally:
            self._beginning -= 1
        world = Play(owner, prompt, program, told, self.config)
        self.worlds[world.id] = world
        return world

    async def _program(self) -> Program:
        """One that is ready. Raises Problem where that takes too long: it goes on loading for who asks again."""
        ends = time.monotonic() + PATIENCE
        while True:
            if self._warming is None or self._warming.done():
                if self._spare is not None and self._spare.alive:
                    program, self._spare = self._spare, None
                    return program
                self._load()
            assert self._warming is not None
            await asyncio.wait([self._warming], timeout=max(0.0, ends - time.monotonic()))
            if not self._warming.done():
                raise still_working("the program that plays is being loaded")
            self._warming.result()

    def of(self, owner: str) -> list[Play]:
        """A key's worlds that go on."""
        return [world for world in self.worlds.values() if world.owner == owner and world.end is None]

    def unsaved(self, owner: str) -> list[Play]:
        """A key's worlds that are over and can be saved still, the last one first."""
        self._forget()
        return [world for world in reversed(self.worlds.values()) if world.owner == owner and world.aside]

    def get(self, owner: str, identity: str) -> Play:
        """A world of a key, over or not. Raises Problem."""
        self._forget()
        world = self.worlds.get(identity)
        if world is None or world.owner != owner:
            raise not_found("world", identity)
        return world

    def _forget(self) -> None:
        for identity, world in list(self.worlds.items()):
            if world.forgotten:
                world.drop()
                del self.worlds[identity]

    async def stop(self) -> None:
        """Ends all worlds, and begins none."""
        self._over = True
        if self._warming is not None:
            self._warming.cancel()
        if self._spare is not None:
            await self._spare.end()
        for world in list(self.worlds.values()):
            await world.stop("closed", "the service was stopped")
            world.drop()
