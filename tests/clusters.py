"""A PostgreSQL cluster for the tests: made anew, on a Unix socket of its own, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where distributions put the server's programs besides the PATH.
FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def missing() -> str:
    """Why there can be no cluster here; empty where there can."""
    if program("initdb") is None or program("pg_ctl") is None:
        return "PostgreSQL's initdb and pg_ctl are not installed"
    if os.geteuid() == 0 and (shutil.which("runuser") is None or unprivileged() is None):
        return "PostgreSQL does not run as root, and there is no user postgres to run it as"
    return ""


def program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([*map(str, FOLDERS), os.environ.get("PATH", "")]))


def unprivileged() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


@contextmanager
def cluster() -> Iterator[str]:
    """The URL of a database in a cluster that lives as long as the block. Its folder is short, for a socket's name has
    at most 107 bytes."""
    user = unprivileged() if os.geteuid() == 0 else None
    prefix = ["runuser", "-u", "postgres", "--"] if user else []
    with tempfile.TemporaryDirectory(prefix="haneul-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        data = folder / "data"
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)

        def call(program_name: str, *arguments: str) -> None:
            found = program(program_name)
            assert found is not None
            done = subprocess.run(
                [*prefix, found, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout

        # The server keeps its parent's output open, so it gets a file of its own.
        call("initdb", "-D", str(data), "-U", "haneul", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start")
        try:
            yield f"postgresql:///postgres?host={folder}&user=haneul"
        finally:
            call("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")


def emptied(url: str) -> None:
    """Leaves nothing of the service in a database."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("DROP SCHEMA IF EXISTS haneul CASCADE")
