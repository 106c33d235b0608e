"""Starts daemons by forking: everything is imported once, so that a start takes a third of a second.

Reads one order a line on stdin ({"arguments", "environment", "output"}), prints the child's process id, and its status
once it has ended. A child runs the same `serve` as a process from the command line.
"""

import json
import os
import sys
from typing import Any, NoReturn

from incident_engine import daemon as _imported  # noqa: F401 - what a daemon needs, before the first is forked
from incident_engine.cli import app as cli


def _live(order: dict[str, Any]) -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(order["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(order["environment"])
    sys.argv = ["incident-engine", *order["arguments"]]
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    """Serve the orders, one child at a time."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(json.loads(line))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
