"""What a job has got so far, in the store: whoever claims it next, on any machine, goes on from there."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from haneul.serve.store import Store

if TYPE_CHECKING:
    from torch import Tensor  # the process that answers reads this module too, and must not load PyTorch


class StoredMemory:
    """See `backbones.base.Memory`. What is put is stored in batches, so fast jobs store nothing at all. Workers whose
    claim has ended may still write: the same names hold the same values."""

    def __init__(self, store: Store, job: str, scratch: Path, *, every: float = 1.0) -> None:
        """`every`: seconds of work that may be lost."""
        from safetensors.torch import load_file

        self.store, self.prefix, self.scratch, self.every = store, f"kept/{job}", scratch, every
        self.known: dict[str, Tensor] = {}
        self.files: dict[str, set[str]] = {}  # key -> names in it that are still needed
        self.waiting: dict[str, Tensor] = {}
        self._stored = time.monotonic()
        for key in store.keys(self.prefix):
            if key.endswith(".safetensors"):
                found = load_file(store.local(key))
                self.known |= found
                self.files[key] = set(found)
        self.found = len(self.known)  #: steps and windows that need not be made again

    def get(self, name: str) -> Tensor | None:
        return self.known.get(name)

    def put(self, name: str, value: Tensor) -> None:
        self.waiting[name] = value
        if time.monotonic() - self._stored >= self.every:
            self.flush()

    def drop(self, prefix: str) -> None:
        for held in (self.waiting, self.known):
            for name in [name for name in held if name.startswith(prefix)]:
                del held[name]
        for key, names in list(self.files.items()):
            names -= {name for name in names if name.startswith(prefix)}
            if not names:
                self.flush()  # what stands in place of it must be there first
                self.store.delete(key)
                del self.files[key]

    def flush(self) -> None:
        """Stores what is not stored yet."""
        from safetensors.torch import save_file

        self._stored = time.monotonic()
        if not self.waiting:
            return
        name = f"{secrets.token_hex(8)}.safetensors"
        path = self.scratch / name
        save_file({name: value.contiguous() for name, value in self.waiting.items()}, path)
        self.files[f"{self.prefix}/{name}"] = set(self.waiting)
        self.store.put(f"{self.prefix}/{name}", path)
        self.waiting = {}


class KeptShots:
    """The finished shots of a film, which lie beside it while it is made."""

    def __init__(self, store: Store, job: str, folder: Path) -> None:
        self.store, self.prefix, self.folder = store, f"kept/{job}", folder
        folder.mkdir(parents=True, exist_ok=True)
        for key in store.keys(self.prefix):
            name = key.rpartition("/")[2]
            if name.endswith(".mp4") and not (folder / name).exists():
                (folder / name).write_bytes(store.local(key).read_bytes())
        self.stored = {path.name for path in folder.glob("*.mp4")}

    def carry(self) -> None:
        """Stores the shots that were finished since."""
        for path in sorted(self.folder.glob("*.mp4")):
            if path.name not in self.stored:
                copy = self.folder.parent / f"carried-{path.name}"
                copy.write_bytes(path.read_bytes())
                self.store.put(f"{self.prefix}/{path.name}", copy)
                self.stored.add(path.name)
