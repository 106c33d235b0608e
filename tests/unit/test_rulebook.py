"""Rules that a daemon came up with need not be tried again; whatever changes in them is."""

import shutil
from pathlib import Path

import pytest
from support.builders import CONFIG, RULES

from incident_engine.common.errors import InvalidFilesError
from incident_engine.config.rulebook import fingerprint_of, load_rulebook
from incident_engine.config.settings import PREFIX, load_settings

BAD = "{{ nobody.knows }}"


def test_what_was_tried_is_not_tried_again_until_a_file_changes(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(RULES, rules)
    settings = load_settings(CONFIG, {PREFIX + "RULES__DIRECTORY": str(rules)})
    tried = load_rulebook(settings, CONFIG).fingerprint
    assert load_rulebook(settings, CONFIG, tried).fingerprint == tried == fingerprint_of(settings)
    template = next((rules / "messages" / "en").glob("*.md.j2"))
    template.write_text(template.read_text(encoding="utf-8") + BAD, encoding="utf-8")
    with pytest.raises(InvalidFilesError, match="nobody"):
        load_rulebook(settings, CONFIG, tried)
    load_rulebook(settings, CONFIG, fingerprint_of(settings))  # who says that it was tried is believed


def test_the_fingerprint_is_of_what_rules_can_tell() -> None:
    known = fingerprint_of(load_settings(CONFIG, {}))
    assert fingerprint_of(load_settings(CONFIG, {PREFIX + "SERVER__PORT": "9000"})) == known
    assert fingerprint_of(load_settings(CONFIG, {PREFIX + "BANK__NAME__EN": "Another Bank"})) != known
