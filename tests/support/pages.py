"""Follows a page: runs its commands, and compares what they print with what the page shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from support.builders import write
from support.checkout import Checkout, CommandServer, checkout
from support.fixtures import SHANGHAI
from support.markdown import Block, Moments, blocks, difference
from support.servers import ROOT

BEGAN = datetime(2026, 11, 22, 16, 56, 30, tzinfo=SHANGHAI)
"""The instant at which the outage of the pages began. People act 40 minutes later."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a page says in words and a test must know. Each key is a part of a block or, for `not_run`, of a line.

    Parts between which there is a `|` are of pages in two languages.
    """

    not_run: Mapping[str, str] = field(default_factory=dict)
    """Lines that are not run, with the reason."""
    not_compared: Mapping[str, str] = field(default_factory=dict)
    """Blocks that are no output of a command, with the reason."""
    tries: Mapping[str, str] = field(default_factory=dict)
    """Blocks that the reader saves or sends, and the script that does so with the file `block`."""
    before: Mapping[str, str] = field(default_factory=dict)
    """Scripts that prepare what the text above a block of commands describes."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Scripts whose output a block shows without a command above it."""

    def keys(self) -> set[str]:
        """Return the keys of all tables."""
        return {*self.not_run, *self.not_compared, *self.tries, *self.before, *self.instead}


class Reader:
    """Follows a page from its first block to the last."""

    def __init__(self, bank: Checkout, notes: Notes) -> None:
        self.wrong: list[str] = []
        self.used: set[str] = set()
        self._bank = bank
        self._notes = notes
        self._moments = Moments(BEGAN, datetime.now(SHANGHAI) - timedelta(minutes=40))
        self._output: str | None = None

    def follow(self, block: Block) -> None:
        """Run the commands of a block, or compare it with the output of the block before it."""
        if block.language == "sh":
            lines = block.text.splitlines(keepends=True)
            commands = "".join(line for line in lines if self._note(self._notes.not_run, line) is None)
            self._output = self._run((self._note(self._notes.before, block.text) or "") + "\n" + commands)
        elif script := self._note(self._notes.tries, block.text):
            write(self._bank.folder, "block", block.text)
            self._output = self._run(script)
        elif block.language in ("text", "json") and self._note(self._notes.not_compared, block.text) is None:
            other = self._note(self._notes.instead, block.text)
            output = self._output if other is None else self._run(other)
            assert output is not None, f"line {block.line}: no command prints this"
            if wrong := difference(block, output, self._moments, is_part=other is not None):
                self.wrong.append(f"line {block.line}: {wrong}")
            self._output = None

    def _run(self, script: str) -> str:
        """Run a script as if it had been written today."""
        return self._bank.run(self._moments.shift(script))

    def _note(self, table: Mapping[str, str], text: str) -> str | None:
        """Return the note whose key is in the text, and remember that it is needed."""
        keys = [key for key in table if any(part in text for part in key.split("|"))]
        self.used.update(keys)
        return dedent(table[keys[0]]) if keys else None


def follow(page: str, notes: Notes, folder: Path, server: CommandServer, **variables: str) -> None:
    """Follow a page; the test fails with every difference, and for a note that no block needs."""
    with checkout(folder, server, **variables) as bank:
        reader = Reader(bank, notes)
        for block in blocks(ROOT / page):
            reader.follow(block)
    if reader.wrong:
        pytest.fail(f"{page}:\n" + "\n".join(reader.wrong), pytrace=False)
    assert reader.used == notes.keys()


def joined(config: Any, part: Any) -> Any:
    """Return a configuration with a part of one added: to mappings and lists, and instead of everything else."""
    if isinstance(config, dict) and isinstance(part, dict):
        return {**config, **{key: joined(config[key], part[key]) if key in config else part[key] for key in part}}
    if isinstance(config, list) and isinstance(part, list):
        return [*config, *(value for value in part if value not in config)]
    return part
