"""The drill that a newcomer plays first, with a clock that runs; test_readme.py plays it without waiting."""

import re
import subprocess
import sys
from pathlib import Path

from support.budget import thorough
from support.servers import PATIENCE, ROOT, environment


@thorough
def test_a_drill_tells_how_two_provinces_rise_from_iii_to_i(tmp_path: Path) -> None:
    options = ["--speed", "1200x", "--lang", "en", "--config", str(ROOT / "config.yaml")]
    played = subprocess.run(
        [sys.executable, "-m", "incident_engine", "drill", "two-provinces", *options],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=2 * PATIENCE,
        encoding="utf-8",
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert played.stderr == ""
    # One province for 30 minutes, two for 30 minutes, two for 3 hours; it began at 10:35, the second at 11:20.
    assert re.findall(r"^(\S+ \S+)  ▲  level reached (I+) ", played.stdout, re.MULTILINE) == [
        ("2013-06-23 11:05:00", "III"),
        ("2013-06-23 11:50:00", "II"),
        ("2013-06-23 14:20:00", "I"),
    ]
    assert "levels reached: III → II → I" in played.stdout
    assert played.stdout.rstrip().endswith("✔ as expected")
    [outbox] = tmp_path.glob("var/drills/*-two-provinces/outbox")
    assert any(outbox.rglob("*.md"))
    assert (outbox.parent / "drill-report.en.docx").is_file()
    assert "drill-report.en.html" in played.stdout
