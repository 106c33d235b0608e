"""`quarantine list`, `map` and `dismiss` against a running daemon."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from support.bank import write_config
from support.servers import daemon

WRONG = {
    "status": "firing",
    "labels": {"alertname": "CoreDown\x1b[2J", "service": "corebankin"},
    "startsAt": "2026-11-22T06:36:16Z",
    "fingerprint": "abe",
}
KEY = "abe/2026-11-22T06:36:16+00:00"


def test_a_person_lists_maps_and_dismisses_from_the_command_line(run: Callable[..., Any], tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with daemon(config) as ours:
        where = ("--config", config, "--url", ours.url)
        assert run("quarantine", "list", *where).out == "nothing waits in quarantine\n"
        alerts = {"version": "4", "alerts": [WRONG, WRONG | {"fingerprint": "abf"}]}
        assert httpx2.post(f"{ours.url}/api/v1/alertmanager", json=alerts, trust_env=False).status_code == 202

        listed = run("quarantine", "list", *where).out
        assert f"alertmanager {KEY}" in listed
        assert "no label names the region" in listed
        assert "alertname=CoreDown\ufffd[2J, service=corebankin" in listed, "no control character reaches the terminal"

        answer = ("quarantine", "map", "alertmanager", KEY, "--service", "core-banking", "--by", "王敏", *where)
        refused = run(*answer, "--region", "Guangdon")
        assert refused.code == 1
        assert "/regions/0: unknown region 'Guangdon'" in refused.err
        assert "(Guangdong?)" in refused.err
        mapped = run(*answer, "--region", "广东", "--region", "CN-HN")
        assert mapped.code == 0, mapped.err
        assert "mapped: 20261122-banking-" in mapped.out
        assert "set these labels in the alert's rule" in mapped.out
        assert "service: 'core-banking', region: 'CN-GD,CN-HN'" in mapped.out

        other = KEY.replace("abe", "abf")
        dismissed = run("quarantine", "dismiss", "alertmanager", other, "--by", "李强", "--reason", "演练", *where)
        assert dismissed.out == f"dismissed: alertmanager {other}\n"
        assert run("quarantine", "list", *where).out == "nothing waits in quarantine\n"
        assert "dismissed: 李强, 演练" in run("quarantine", "list", "--state", "all", *where).out
        missing = run("quarantine", "dismiss", "nagios", "x", "--by", "李强", "--reason", "演练", *where)
        assert (missing.code, "nothing of 'nagios' with the key 'x'" in missing.err) == (1, True)
