"""The audit log: any edit, deletion, insertion, truncation or change of order shows; several processes may write."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from haneul import cli
from haneul.config import Settings, load_settings
from haneul.errors import OutputError
from haneul.screen.audit import AuditLog, Head

RECORDS = 6


def log_in(folder: Path, count: int = RECORDS) -> AuditLog:
    log = AuditLog(Settings(data=folder, cache=folder))
    for number in range(count):
        log.append(where="test", decision="passed", note=f"하늘 {number}")
    return log


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> AuditLog:
    """A log of six records; what a test does to it is undone by `restored`."""
    return log_in(tmp_path_factory.mktemp("audit"))


@pytest.fixture
def log(whole: AuditLog) -> AuditLog:
    """The log as it was written; restored afterwards."""
    content, head = whole.path.read_bytes(), whole.head_path.read_bytes()
    yield whole
    whole.path.write_bytes(content)
    whole.head_path.write_bytes(head)


def lines(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def test_an_untouched_log_is_whole(log: AuditLog) -> None:
    report = log.verify()
    assert (report.problems, report.head.count) == ((), RECORDS)
    assert [json.loads(line)["number"] for line in lines(log)] == list(range(1, RECORDS + 1))
    assert log.key_path.stat().st_mode & 0o077 == 0
    assert log.verify(str(report.head)).whole


def test_no_log_is_no_problem(tmp_path: Path) -> None:
    assert AuditLog(Settings(data=tmp_path, cache=tmp_path)).verify().whole


def test_spaces_and_a_missing_line_end_show(log: AuditLog) -> None:
    content = log.path.read_bytes()
    for changed in (content[:-1], content + b" ", content + b"\n", content.replace(b'","', b'", "', 1)):
        assert changed != content
        log.path.write_bytes(changed)
        assert not log.verify().whole


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_tampering_shows(whole: AuditLog, data: st.DataObject) -> None:
    content = whole.path.read_bytes()
    rows = content.splitlines(keepends=True)
    how = data.draw(st.sampled_from(["flip", "delete", "swap", "repeat", "truncate", "cut"]))
    i = data.draw(st.integers(0, RECORDS - 1))
    changed = list(rows)
    if how == "flip":
        at = data.draw(st.integers(0, len(content) - 1))
        bit = data.draw(st.integers(0, 7))
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        changed = [bytes(flipped)]
    elif how == "delete":
        del changed[i]
    elif how == "swap":
        j = data.draw(st.integers(0, RECORDS - 1).filter(lambda j: j != i))
        changed[i], changed[j] = changed[j], changed[i]
    elif how == "repeat":
        changed.insert(i, rows[data.draw(st.integers(0, RECORDS - 1))])
    elif how == "truncate":
        changed = changed[:i]
    else:
        changed = [content[: data.draw(st.integers(0, len(content) - 1))]]
    try:
        whole.path.write_bytes(b"".join(changed))
        assert not whole.verify().whole, how
    finally:
        whole.path.write_bytes(content)
    assert whole.verify().whole


def test_a_forged_record_and_a_forged_head_show(log: AuditLog) -> None:
    record = json.loads(lines(log)[2])
    record["decision"] = "refused"
    rows = lines(log)
    rows[2] = json.dumps(record).encode() + b"\n"
    log.path.write_bytes(b"".join(rows))
    assert any("line 3" in problem for problem in log.verify().problems)
    head = json.loads(log.head_path.read_text())
    log.head_path.write_text(json.dumps(head | {"count": 2}))
    assert any("head" in problem for problem in log.verify().problems)


def test_a_removed_log_head_or_key_shows(tmp_path: Path) -> None:
    for name in ("path", "head_path", "key_path"):
        log = log_in(tmp_path / name)
        getattr(log, name).unlink()
        assert not log.verify().whole, name


def test_writing_on_does_not_heal_a_log(log: AuditLog) -> None:
    log.path.write_bytes(b"".join(lines(log)[:-2]))
    log.append(where="test")
    log.append(where="test")
    assert not log.verify().whole


def test_an_older_log_shows_against_a_noted_head(log: AuditLog) -> None:
    old = log.path.read_bytes(), log.head_path.read_bytes()
    log.append(where="test")
    noted = str(log.verify().head)
    log.path.write_bytes(old[0])
    log.head_path.write_bytes(old[1])
    assert log.verify().whole, "without the noted head it can't be told"
    assert not log.verify(noted).whole
    assert log.verify(str(Head())).whole, "the empty log is part of every log"


def test_a_writer_that_was_cut_off_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    """Killed after the record and before the head; or in the middle of the record."""
    log = log_in(tmp_path, 3)
    head = log.head_path.read_bytes()
    log.append(where="test")
    log.head_path.write_bytes(head)
    assert log.verify().whole, "the record is a true one"
    log.append(where="test")
    assert (log.verify().problems, log.verify().head.count) == ((), 5)
    with log.path.open("ab") as file:
        file.write(b'{"number":6,"ti')
    log.append(where="test")
    assert (log.verify().problems, log.verify().head.count) == ((), 6)


def write_some(folder: str, count: int) -> None:
    log_in(Path(folder), count)


def test_several_processes_write_one_log(tmp_path: Path) -> None:
    processes = [
        multiprocessing.get_context("spawn").Process(target=write_some, args=(str(tmp_path), 25)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    report = AuditLog(Settings(data=tmp_path, cache=tmp_path)).verify()
    assert (report.problems, report.head.count) == ((), 75)


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="audit"):
        log_in(tmp_path, 1)


def test_the_command_tells(home: Path) -> None:
    run = CliRunner().invoke
    log = AuditLog(load_settings())
    log.append(where="test")
    found = run(cli.main, ["audit", "verify"])
    assert (found.exit_code, "1 records, whole" in found.output) == (0, True)
    head = found.output.rsplit("head: ", 1)[1].strip()
    assert run(cli.main, ["audit", "verify", "--head", head]).exit_code == 0
    log.path.write_bytes(b"")
    found = run(cli.main, ["audit", "verify"])
    assert (found.exit_code, "TAMPERED" in found.output, "cut off" in found.output) == (11, True, True)
