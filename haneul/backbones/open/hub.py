"""A checkpoint by its name: a folder, or what the hub's cache has, or what the hub sends."""

from __future__ import annotations

import re
from pathlib import Path

from haneul.backbones.layout import is_exported
from haneul.backbones.open.folder import INDEX, PICKLES, Checkpoint, pipeline_of, read, read_json
from haneul.errors import CheckpointError, InputError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
#: What a checkpoint in the layout of diffusers consists of; pickles are not even fetched.
WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "README.md", "LICENSE*", "NOTICE*")
SECONDS = 10.0  #: that the hub may take to answer


def find(model: str) -> Checkpoint:
    """The checkpoint of a folder or of a name such as Wan-AI/Wan2.2-TI2V-5B-Diffusers.

    Raises CheckpointError for what is neither, or cannot be fetched, and as `folder.read`.
    """
    folder = locate(model)
    return read(folder, None if Path(model).expanduser().is_dir() else model)


def locate(model: str) -> Path:
    """The folder of a checkpoint, or of an exported model of ours, by its path or its name of the hub; of a folder on
    this machine nothing is checked yet. Raises as `find`."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path.absolute()
    if path.suffix.lower() in PICKLES:
        raise CheckpointError(f"{path.name} is a pickle, which can run code and is never opened; use safetensors")
    if path.exists() or not _NAME.fullmatch(model) or model.startswith((".", "/", "~")):
        what = "is not a folder" if path.exists() else "does not exist"
        raise CheckpointError(f"{model} {what}; give a checkpoint's folder, or its name on the hub, owner/name")
    try:
        import huggingface_hub
    except ImportError:
        raise InputError("names of the hub need huggingface_hub; run: pip install 'haneul[open]'") from None
    try:
        here = Path(huggingface_hub.snapshot_download(model, allow_patterns=list(WANTED), local_files_only=True))
        if not is_exported(here):
            read(here, model)
        return here
    except (OSError, CheckpointError):  # not in the cache, or not all of it
        return fetch(model)


def fetch(name: str) -> Path:
    """The folder of a checkpoint that the hub sends; what is in the cache already is not sent again.

    The index comes first, so that what could not be used is not downloaded.
    """
    import huggingface_hub
    from huggingface_hub import errors

    try:
        files = huggingface_hub.HfApi().list_repo_files(name)
        if INDEX not in files:
            raise CheckpointError(
                f"{name} has no {INDEX}, so it is no checkpoint in the layout of diffusers; "
                "look for one whose name ends in -Diffusers"
            )
        index = Path(huggingface_hub.hf_hub_download(name, INDEX, etag_timeout=SECONDS))
        if not is_exported(index.parent):
            pipeline_of(read_json(index), name)
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(WANTED), etag_timeout=SECONDS))
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{name} is given out on request alone; ask for it on its page, then log in: hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no {name}, or keeps it private; see that the name is right") from error
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError) as error:
        raise _unreachable(name, error) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2", "requests"):
            raise _unreachable(name, error) from error
        raise


def cached() -> list[tuple[str, str]]:
    """Names and folders of the video checkpoints that the hub's cache holds."""
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        return []
    try:
        repos = huggingface_hub.scan_cache_dir().repos
    except (errors.CacheNotFound, OSError):
        return []
    found = []
    for repo in sorted(repos, key=lambda repo: repo.repo_id):
        for revision in repo.revisions:
            if (revision.snapshot_path / INDEX).is_file():
                try:
                    read(revision.snapshot_path, repo.repo_id)
                except (CheckpointError, InputError):
                    continue
                found.append((repo.repo_id, str(revision.snapshot_path)))
    return found


def _unreachable(name: str, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CheckpointError(
        f"{name} is not on this machine and the hub cannot be reached ({reason[:120]}); "
        "download it where there is network and give its folder"
    )
