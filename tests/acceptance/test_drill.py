"""The drill that a newcomer plays first."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import PATIENCE, ROOT, environment

SPOKEN = {
    "en": ("level reached", "levels reached: III → II → I", "✔ as expected"),
    "zh-CN": ("达到级别", "达到的级别: III → II → I", "✔ 与预期一致"),
}


@pytest.mark.parametrize(("lang", "speed"), [("en", "1200x"), ("zh-CN", "max")])
def test_a_drill_tells_how_two_provinces_rise_from_iii_to_i(tmp_path: Path, lang: str, speed: str) -> None:
    reached, summary, verdict = SPOKEN[lang]
    options = ["--speed", speed, "--lang", lang, "--config", str(ROOT / "config.yaml")]
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
    assert re.findall(rf"^(\S+ \S+)  ▲  {reached} (I+) ", played.stdout, re.MULTILINE) == [
        ("2013-06-23 11:05:00", "III"),
        ("2013-06-23 11:50:00", "II"),
        ("2013-06-23 14:20:00", "I"),
    ]
    assert summary in played.stdout
    assert played.stdout.rstrip().endswith(verdict)
    [outbox] = tmp_path.glob("var/drills/*-two-provinces/outbox")
    assert any(outbox.rglob("*.md"))
    assert (outbox.parent / f"drill-report.{lang}.docx").is_file()
    assert f"drill-report.{lang}.html" in played.stdout
