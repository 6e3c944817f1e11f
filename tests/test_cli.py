"""The command line as a person or a script meets it: words, exit codes, and what is left on the disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

import haneul
from haneul import cli, errors
from haneul.config import Settings, load_settings, to_toml
from haneul.errors import HaneulError, InputError
from haneul.trust.credentials import ManifestInfo, check_signer, sign
from haneul.video.io import write_mp4


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture
def signed(clip: NDArray[np.uint8], tmp_path: Path) -> Path:
    write_mp4(clip, tmp_path / "plain.mp4", fps=24)
    info = ManifestInfo(
        title="t", model="haneul-nano", weights_sha256="ab", data_ledger_root="cd", mode="text-to-video", seed=7
    )
    sign(tmp_path / "plain.mp4", tmp_path / "signed.mp4", info, check_signer())
    return tmp_path / "signed.mp4"


# ---------------------------------------------------------------------------------------------------- start-up


def test_help_is_light() -> None:
    """Nothing heavy is imported for the help, and every command is named in it."""
    program = (
        "import sys\nfrom haneul import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('LOADED', sorted({'torch', 'numba', 'mujoco', 'numpy', 'av', 'c2pa', 'rich'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout
    for command in ("generate", "verify", "world", "train", "config", "models"):
        assert f"\n  {command} " in done.stdout


def test_version_and_lazy_names() -> None:
    assert haneul.__version__ in invoke("--version").stdout
    assert haneul.verify.__module__ == "haneul.trust.origin"
    with pytest.raises(AttributeError, match="nothing"):
        _ = haneul.nothing


def every_command(group: click.Group = cli.main, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found += every_command(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


# ------------------------------------------------------------------------------------------------ what goes wrong


def group_with(function: Callable[[], None]) -> click.Group:
    """The real group with one command more, which fails as the test says."""
    group = cli.Group("haneul", params=cli.main.params, callback=lambda debug: None)
    group.command("act")(function)
    return group


@pytest.mark.parametrize(
    "kind", [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, HaneulError)]
)
def test_our_errors_are_one_line_and_a_code(kind: type[HaneulError]) -> None:
    def act() -> None:
        raise kind("seconds is 99;\n  give up to 20")

    result = CliRunner().invoke(group_with(act), ["act"])
    assert result.stderr == "error: seconds is 99; give up to 20\n"
    assert result.stdout == ""
    assert result.exit_code == kind.exit_code > 0


def test_interruption() -> None:
    def act() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(group_with(act), ["act"])
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_defects_are_short_unless_asked() -> None:
    def act() -> None:
        raise ZeroDivisionError("a defect")

    result = CliRunner().invoke(group_with(act), ["act"])
    assert result.exit_code == 1
    assert "unexpected ZeroDivisionError: a defect" in result.stderr
    assert "haneul --debug act" in result.stderr
    assert isinstance(CliRunner().invoke(group_with(act), ["--debug", "act"]).exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate"], "Missing argument 'PROMPT'"),
        (["generate", "a ball", "--size", "big"], "'big' is not a size; write width x height"),
        (["generate", "a ball", "--sede", "1"], "Did you mean"),
        (["train", "nano", "--budget", "soon"], "'soon' is not a time"),
        (["verify"], "Missing argument 'FILE'"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_output_is_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("{}")
    program = (
        "import sys\nfrom haneul import cli\n"
        "try:\n    cli.main(sys.argv[1:])\nfinally:\n    print('torch' in sys.modules)\n"
    )
    for arguments, words in (
        (["-o", tmp_path / "no" / "x.mp4"], "does not exist; create it"),
        (["-o", tmp_path], "is a folder"),
        (["-o", tmp_path / "there.mp4", "--report"], "there.json exists already"),
        (["-o", tmp_path / "x.mp4", "--preview", tmp_path / "no" / "p.png"], "does not exist; create it"),
    ):
        command = [sys.executable, "-c", program, "generate", "a ball", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == "False\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_processes_leave_nothing(number: int, code: int, tmp_path: Path) -> None:
    program = (
        "import signal, sys, time\nfrom haneul import cli\nfrom haneul.video.io import atomic_output\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without\n"
        "target = sys.argv.pop()\n"
        "@cli.main.command()\n"
        "def slow():\n"
        "    with atomic_output(target) as unfinished:\n"
        "        unfinished.write_text('half')\n"
        "        print('writing', flush=True)\n"
        "        for _ in range(300):  # a signal that comes just before a sleep begins does not shorten it\n"
        "            time.sleep(0.1)\n"
        "sys.argv.insert(1, 'slow')\ncli.run()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "x.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "writing\n"
        assert len(list(tmp_path.iterdir())) == 1
        job.send_signal(number)
        _, said = job.communicate(timeout=10)
    assert job.returncode == code
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_quiet(signed: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        command = [sys.executable, "-m", "haneul", "verify", "--json", str(signed)]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""


# -------------------------------------------------------------------------------------------------------- verify


def test_verify(signed: Path) -> None:
    result = invoke("verify", signed)
    assert result.exit_code == 0
    assert "signed by this installation" in result.stdout
    table = json.loads(invoke("verify", signed, "--json").stdout)
    assert (table["state"], table["seed"], table["model"]) == ("trusted", 7, "haneul-nano")


def test_verify_says_it_by_exit_code_too(signed: Path, tmp_path: Path) -> None:
    def code(path: Path) -> int:
        return subprocess.run(
            [sys.executable, "-m", "haneul", "verify", path], capture_output=True, check=False
        ).returncode

    assert code(signed) == 0
    assert code(tmp_path / "plain.mp4") == 10
    content = bytearray(signed.read_bytes())
    content[-20] ^= 1
    signed.write_bytes(content)
    assert code(signed) == 11
    assert code(tmp_path / "no.mp4") == 2


# -------------------------------------------------------------------------------------------------------- config


def test_config_show_is_a_settings_file(home: Path) -> None:
    shown = invoke("config", "show").stdout
    assert str(home / "config.toml") in shown
    assert "does not exist" in shown
    assert tomllib.loads(shown)["folders"]["data"] == str(home / "data")
    before = load_settings()
    (home / "config.toml").write_text(shown, encoding="utf-8")
    assert load_settings() == before


def test_settings_survive_their_own_text(tmp_path: Path) -> None:
    odd = tmp_path / 'a "quoted" \\ 한글 folder\n'
    settings = Settings(data=odd, cache=odd / "c", weights=odd / "w", certificate_chain=odd, private_key=odd, threads=3)
    (tmp_path / "c.toml").write_text(to_toml(settings), encoding="utf-8")
    assert load_settings(tmp_path / "c.toml") == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("thread = 2", "unknown key thread; did you mean threads?"),
        ("[folders]\ndatas = 'x'", "unknown key folders.datas; did you mean folders.data?"),
        ("[zzz]", "unknown key zzz; known are threads, model, folders, credentials"),
        ("threads = -1", "threads is -1"),
        ("threads = true", "threads is True"),
        ("folders = 3", "folders is 3; it is a table"),
        ("[folders]\ndata = 3", "folders.data is 3; give a path"),
        ("[credentials]\nprivate_key = 'k.pem'", "only private_key is set"),
        ("threads = ", "not valid TOML"),
    ],
)
def test_wrong_settings(text: str, words: str, home: Path) -> None:
    (home / "config.toml").write_text(text)
    result = invoke("config", "show")
    assert result.exit_code == InputError.exit_code
    assert words in result.stderr
    assert str(home / "config.toml") in result.stderr


def test_paths_in_settings(home: Path) -> None:
    (home / "config.toml").write_text("[folders]\ndata = 'mine'\ncache = '~/c'\n")
    settings = load_settings()
    assert settings.data == home / "mine"
    assert settings.cache == Path.home() / "c"
    assert settings.weights is None


# -------------------------------------------------------------------------------------------------------- models


def test_models_show(home: Path) -> None:
    from safetensors.numpy import save_file

    (home / "weights").mkdir()
    (home / "config.toml").write_text("[folders]\nweights = 'weights'\n")
    save_file({"w": np.zeros(3, np.float32)}, home / "weights" / "mine.safetensors", {"recipe": "none at all"})
    (home / "weights" / "bad.safetensors").write_bytes(b"not tensors")
    result = invoke("models", "show")
    assert result.exit_code == 0
    assert "mine: 0.0 MiB, sha256 " in result.stdout
    assert "recipe: none at all" in result.stdout
    assert "damaged" in result.stderr


# ------------------------------------------------------------------------------------------------------- progress


def test_progress_without_a_terminal_is_sparse(capsys: pytest.CaptureFixture[str]) -> None:
    with cli.progress_display() as progress:
        assert progress is not None
        for done in range(1, 101):
            progress("sampling", done, 100)
    assert capsys.readouterr().err.splitlines() == ["sampling: 1/100", "sampling: 100/100"]
    with cli.progress_display(quiet=True) as progress:
        assert progress is None


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("90", 90), ("1.5h", 5400), ("10s", 10)])
def test_durations(text: str, seconds: float) -> None:
    assert cli.DURATION.convert(text, None, None) == seconds


def test_sizes() -> None:
    assert cli.SIZE.convert("896x512", None, None) == cli.SIZE.convert("896×512", None, None) == (896, 512)
