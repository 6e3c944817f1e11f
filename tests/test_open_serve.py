"""Jobs of the service by an open checkpoint."""

from __future__ import annotations

from pathlib import Path

from asking import Saved
from serving import Running

from haneul.trust import credentials


def test_a_job_is_made_by_an_open_checkpoint(saved: Saved, home: Path, tmp_path: Path) -> None:
    service = Running(home, tmp_path / "service", "--model", str(saved("wan")))
    try:
        job = service.make()["id"]
        assert service.over(job, 300)["status"] == "completed"
        out = tmp_path / "out.mp4"
        out.write_bytes(service.http.get(f"/videos/{job}/content").content)
    finally:
        assert service.stop() == 0
    found = credentials.verify(out)
    assert found.here
    assert found.model_licence == "unknown"  # the tiny folder has no card; ours has a licence
