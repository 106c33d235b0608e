"""A folder in which the commands of a page run as they are written: make, `.venv/bin/incident-engine` and curl."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.command_server import CLIENT
from support.forked import command_socket
from support.servers import LOOPBACK, PATIENCE, ROOT, client, environment, free_port, wait_for

_LINKED = ("config.yaml", "rules", "Makefile", "pyproject.toml", "requirements.lock")
_PREAMBLE = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'
_START = re.compile(r"^make run\b.*\n", re.MULTILINE)
_ABSOLUTE = re.compile(r" /(backup|etc)/")
"""Folders of a real machine, which are in the folder here."""


class CommandServer:
    """A process whose forks run the commands, and the address of the daemon that one of them may be."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self.env = environment(
            PYTHONUTF8="1",
            INCIDENT_ENGINE__SERVER__PORT=str(port),
            INCIDENT_ENGINE__SERVER__PUBLIC_URL=self.url,
        )
        self.env.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would be as narrow as its terminal
        self.client = CLIENT.format(python=sys.executable, socket=command_socket())


class Checkout:
    """The folder, with a daemon that a page's `make run` starts."""

    def __init__(self, folder: Path, server: CommandServer, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.url = server.url
        self._env = {**server.env, **variables}
        del self._env["LC_ALL"]  # it would outrank LANG
        self._daemon: subprocess.Popen[str] | None = None

    def run(self, script: str) -> str:
        """Run a script of the shell and return what it printed; every command must succeed.

        `make run` starts the daemon. A restoration needs a daemon that does not run, so it is stopped for that.
        """
        script = script.replace("http://127.0.0.1:8080", self.url)
        script = _ABSOLUTE.sub(rf" {self.folder}/\1/", script)
        script, starts = _START.subn("", script)
        if starts:
            self._start()
        before, restore, after = script.partition(".venv/bin/incident-engine restore")
        output = self._bash(before)
        if restore:
            self.stop()
            output += self._bash(restore + after)
            self._start()
        return output

    def _bash(self, script: str) -> str:
        ended = subprocess.run(
            ["bash", "-c", _PREAMBLE + script],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE * 2,
            check=False,
        )
        assert ended.returncode == 0, f"{script}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def _start(self) -> None:
        output = self.folder / "daemon.out"
        with output.open("w") as out, (self.folder / "daemon.err").open("a") as err:
            command = ["make", "--no-print-directory", "run"]
            self._daemon = subprocess.Popen(command, cwd=self.folder, env=self._env, stdout=out, stderr=err, text=True)

        def is_ready() -> bool:
            banner = output.read_text(encoding="utf-8")
            with client(self.url) as http:
                return "Ctrl-C" in banner and http.get("/readyz").status_code == 200

        wait_for("make run is ready", is_ready)

    def stop(self) -> None:
        """Stop the daemon, if it runs."""
        if self._daemon is not None:
            self._daemon.terminate()  # make ends its command and waits for it
            self._daemon.wait(PATIENCE)
            self._daemon = None


@contextmanager
def checkout(folder: Path, server: CommandServer, **variables: str) -> Iterator[Checkout]:
    """Make the folder, and stop the daemon at the end."""
    for name in _LINKED:
        (folder / name).symlink_to(ROOT / name)
    (folder / "backup").mkdir()
    (folder / "etc/bank/rules").mkdir(parents=True)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for made in (binaries / "python", folder / ".venv" / ".run"):
        made.touch()  # newer than the lock, so that make installs nothing
    command = binaries / "incident-engine"
    command.write_text(server.client, encoding="utf-8")
    command.chmod(0o755)
    page = Checkout(folder, server, variables)
    try:
        yield page
    finally:
        page.stop()
