"""What a site changes of the policy, kept by the service: `policy.toml` in the data folder.

It is used where the settings name no file of their own. A file that somebody writes by hand stays theirs: it is shown,
and never written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haneul import __version__
from haneul.config import Settings, quoted
from haneul.errors import InputError, OutputError
from haneul.screen.audit import AuditLog
from haneul.screen.policy import Policy, kept_file, load_policy, with_changes
from haneul.video.io import atomic_output

_HEAD = "# Written by the service when its policy is changed; see haneul/screen/policy.py for what may stand here.\n"


def site_file(settings: Settings) -> Path:
    """The file with the site's changes; it may not be there yet."""
    return settings.policy or kept_file(settings)


def changes(settings: Settings) -> dict[str, Any]:
    """The site's changes as the table that its file holds: categories, terms, audit. Raises InputError as
    `load_policy`."""
    load_policy(settings)  # refuses what cannot be read, in words
    path = site_file(settings)
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def change(settings: Settings, table: Mapping[str, Any], *, by: str) -> Policy:
    """Puts `table` in place of the site's changes and returns the policy that is then in force. Every process of this
    machine heeds it from its next decision on. Who did it (`by`) goes to the audit log.

    Raises InputError for what cannot be changed, and where the settings name a file; OutputError where it cannot be
    written.
    """
    if settings.policy is not None:
        raise InputError(f"the policy is set by the file {settings.policy}; change it there")
    path, text = kept_file(settings), to_toml(table)
    with_changes(text, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the policy {path} cannot be written: {error.strerror or error}") from error
    with atomic_output(path, overwrite=True) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    policy = load_policy(settings)
    AuditLog(settings).append(
        haneul=__version__, policy=policy.digest[:16], where="policy", decision="changed", by=by
    )  # fmt: skip
    return policy


def to_toml(table: Mapping[str, Any]) -> str:
    """A table of tables as TOML: reading it back gives the same. What is empty is left out."""
    lines: list[str] = [_HEAD]

    def put(name: str, entries: Mapping[str, Any]) -> None:
        plain = {key: value for key, value in entries.items() if not isinstance(value, Mapping)}
        if plain:
            lines.append(f"[{name}]")
            lines.extend(f"{quoted(key)} = {_value(value)}" for key, value in plain.items())
            lines.append("")
        for key, value in entries.items():
            if isinstance(value, Mapping):
                put(f"{name}.{quoted(key)}" if name else quoted(key), value)

    put("", table)
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return quoted(value)
    raise InputError(f"a policy cannot hold {value!r}; give text, a number, true or false")
