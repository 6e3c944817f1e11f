"""The user's settings: one TOML file, one frozen dataclass, no other way to configure anything.

`haneul config show` prints where the file is looked for and what is in force, in the form that the file takes:

    threads = 2
    model = "~/models/Wan2.2-TI2V-5B-Diffusers"

    [folders]
    data = "~/haneul"

    [credentials]
    certificate_chain = "signer-chain.pem"
    private_key = "signer-key.pem"

    [expander]
    url = "http://localhost:11434/v1"
    model = "llama3.2"

The one environment variable is HANEUL_HOME: a folder that then holds everything (config.toml, data, cache).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from haneul.errors import InputError

_FOLDERS = ("data", "cache", "weights")
_CREDENTIALS = ("certificate_chain", "private_key", "trust_anchors")
_SCREEN = ("policy", "artists", "figures", "trademarks", "known_bad", "known_works")
_SECTIONS = {"folders": _FOLDERS, "credentials": _CREDENTIALS, "screen": _SCREEN}  # of paths
#: Of the section [expander]: what its keys are in Settings.
_EXPANDER = {
    "url": "expander_url", "model": "expander_model", "key_file": "expander_key_file", "seconds": "expander_seconds",
}  # fmt: skip
MAX_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is in force. Paths are absolute."""

    data: Path  #: what must stay: the local certificate, jobs, ledgers
    cache: Path  #: what can be made again
    weights: Path | None = None  #: a folder of weights to use instead of those in the package
    certificate_chain: Path | None = None  #: PEM, the signing certificate first; None: a local one is made
    private_key: Path | None = None  #: PEM, unencrypted, of the chain's first certificate
    trust_anchors: Path | None = None  #: PEM bundle of roots whose signers count as trusted in `haneul verify`
    policy: Path | None = None  #: TOML, a site's changes of the screen's policy (screen/policy.py)
    artists: Path | None = None  #: names that are added to those who don't want their style imitated, one a line
    figures: Path | None = None  #: names that are added to the public figures
    trademarks: Path | None = None  #: names that are added to the trademarks
    known_bad: Path | None = None  #: PDQ hashes of pictures that are neither taken nor made, one a line
    known_works: Path | None = None  #: PDQ hashes and names of works of which nothing made may be a near copy
    threads: int = 0  #: processor threads; 0 uses every core
    model: str = ""  #: an open checkpoint to use, a folder or owner/name of the hub; "": Haneul's own
    expander_url: str = ""  #: a chat endpoint that makes short prompts longer (prompt/expander.py); "": none
    expander_model: str = ""  #: "": the first one that it offers
    expander_key_file: Path | None = None  #: a file with the key that it wants
    expander_seconds: float = 20.0  #: that it may take

    def __post_init__(self) -> None:
        if not isinstance(self.threads, int) or isinstance(self.threads, bool) or not 0 <= self.threads <= MAX_THREADS:
            raise InputError(f"threads is {self.threads!r}; give a whole number from 0 (every core) to {MAX_THREADS}")
        if not isinstance(self.model, str) or "\0" in self.model:
            raise InputError(f"model is {self.model!r}; give a folder or a name of the hub in quotes")
        if (self.certificate_chain is None) != (self.private_key is None):
            given = "certificate_chain" if self.certificate_chain else "private_key"
            raise InputError(f"only {given} is set; credentials.certificate_chain and .private_key belong together")

    @property
    def clip_index(self) -> Path:
        """Where the index of training clips is that `haneul similar` asks, if one was made."""
        return self.cache / "training-clips.npz"


def config_path() -> Path:
    """Where the settings file is looked for."""
    home = _home()
    return (home or Path(platformdirs.user_config_path("haneul", appauthor=False))) / "config.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Reads the user's file; without one, the defaults.

    Raises:
        InputError: the file is not TOML, has an unknown key (the nearest known one is named) or an unusable value.
    """
    source = path or config_path()
    table: dict[str, Any] = {}
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path is not None:
            raise InputError(f"there is no settings file {source}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the settings file {source} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the settings file {source} is not valid TOML: {error}") from error
    try:
        return _settings(table, source.parent)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _home() -> Path | None:
    home = os.environ.get("HANEUL_HOME")
    return Path(home).expanduser().absolute() if home else None


def _settings(table: dict[str, Any], base: Path) -> Settings:
    _refuse_unknown(table, ("threads", "model", *_SECTIONS, "expander"), "")
    values: dict[str, Any] = {}
    for section, names in _SECTIONS.items():
        entries = table.get(section, {})
        if not isinstance(entries, dict):
            raise InputError(f"{section} is {entries!r}; it is a table: write [{section}]")
        _refuse_unknown(entries, names, f"{section}.")
        for name, value in entries.items():
            if not isinstance(value, str) or not value or "\0" in value:
                raise InputError(f"{section}.{name} is {value!r}; give a path in quotes")
            values[name] = (base / Path(value).expanduser()).absolute()
    values |= _expander(table.get("expander", {}), base)
    home = _home()
    data = values.pop("data", home / "data" if home else platformdirs.user_data_path("haneul", appauthor=False))
    cache = values.pop("cache", home / "cache" if home else platformdirs.user_cache_path("haneul", appauthor=False))
    plain = {name: table[name] for name in ("threads", "model") if name in table}
    return Settings(data=data, cache=cache, **plain, **values)


def _expander(entries: object, base: Path) -> dict[str, Any]:
    if not isinstance(entries, dict):
        raise InputError(f"expander is {entries!r}; it is a table: write [expander]")
    _refuse_unknown(entries, tuple(_EXPANDER), "expander.")
    for name, value in entries.items():
        if name == "seconds":
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 600:
                raise InputError(f"expander.seconds is {value!r}; give a number above 0 and up to 600")
        elif not isinstance(value, str) or "\0" in value:
            raise InputError(f"expander.{name} is {value!r}; give it in quotes")
    values: dict[str, Any] = {_EXPANDER[name]: value for name, value in entries.items()}
    if values.get("expander_key_file"):
        values["expander_key_file"] = (base / Path(values["expander_key_file"]).expanduser()).absolute()
    return values


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(prefix + k for k in known)}"
            raise InputError(f"unknown key {prefix}{key}; {hint}")


def to_toml(settings: Settings) -> str:
    """The settings as the text of a settings file: reading it back gives equal settings."""
    lines = [f"threads = {settings.threads}"]
    lines.append(f"model = {quoted(settings.model)}" if settings.model else "# model is not set: Haneul's own")
    for section, names in _SECTIONS.items():
        entries = [(name, getattr(settings, name)) for name in names]
        lines += ["", f"[{section}]"]
        lines += [f"{name} = {quoted(value)}" if value else f"# {name} is not set" for name, value in entries]
    lines += ["", "[expander]"]
    for name, field in _EXPANDER.items():
        value = getattr(settings, field)
        text = f"{value:g}" if name == "seconds" else quoted(value) if value else ""
        lines.append(f"{name} = {text}" if text else f"# {name} is not set")
    return "\n".join(lines) + "\n"


def quoted(value: Path | str) -> str:
    """A TOML basic string."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
