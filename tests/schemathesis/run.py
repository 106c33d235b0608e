"""Run schemathesis against a daemon on the loopback interface: every answer must be as the API's description says.

make schemathesis                                        # bounded, for .ci/run
.venv/bin/python tests/schemathesis/run.py --examples 500
"""

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.fast_bank import write_bank  # noqa: E402
from support.servers import Daemon, client, daemon  # noqa: E402

CHECKS = ROOT / "tests" / "schemathesis" / "schemathesis.toml"
KEY = "a-key-for-the-tests-of-the-api"
INCIDENT = "outage-1"


def fill(ours: Daemon) -> None:
    """Store an incident and a report in quarantine, so that the links between operations lead somewhere."""
    at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    event = {"source": "m", "id": "1", "type": "outage.started", "service": "core-banking", "regions": ["CN-GD"]}
    alert = {"status": "firing", "labels": {"service": "nothing"}, "annotations": {}, "fingerprint": "f"}
    alert |= {"startsAt": at, "endsAt": "0001-01-01T00:00:00Z"}
    with client(ours.url, authorization=f"Bearer {KEY}") as http:
        answers = [
            http.post("/api/v1/events", json=event | {"occurred_at": at, "incident": INCIDENT}),
            http.post("/api/v1/alertmanager", json={"version": "4", "status": "firing", "alerts": [alert]}),
        ]
        assert [answer.status_code for answer in answers] == [202, 202], [answer.text for answer in answers]


def main() -> int:
    """Run all phases; return the exit code of schemathesis, or 1 if the daemon logged a fault of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--examples", type=int, default=40, help="examples for each operation and phase")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same requests")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = write_bank(Path(folder), "http://127.0.0.1:9/1")
        with daemon(config, INCIDENT_ENGINE__SERVER__KEYS=f'[{{"value": "{KEY}"}}]') as ours:
            fill(ours)
            command = [
                *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CHECKS)),
                *("run", f"{ours.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {KEY}"),
                *("--phases", "examples,coverage,fuzzing,stateful"),
                *("--max-examples", str(arguments.examples), "--seed", str(arguments.seed)),
                *("--request-timeout", "30", "--no-color"),
            ]
            status = subprocess.run(command, check=False, cwd=folder).returncode
            faults = [line for line in ours.logged.splitlines() if '"unexpected_error"' in line or "Traceback" in line]
    print(*faults[:20], sep="\n")
    return status or int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
