"""Keys of the API and of the links: one rule, in `check` and when the daemon starts."""

from pathlib import Path

import pytest
from support.fixtures import CONFIG, bank

from incident_engine.cli.check import check
from incident_engine.common.errors import StartupError
from incident_engine.config.secret import key_fault
from incident_engine.config.settings import Settings, load_settings
from incident_engine.web.server import read_keys

GOOD = "0123456789abcdef"


def with_secret(folder: Path, setting: str, key: str, *, in_file: bool) -> tuple[Settings, Path]:
    """Return settings with a key, and a config.yaml with the same."""
    text = CONFIG.read_text(encoding="utf-8")
    place = f'value: "{key}"'
    if in_file:
        (folder / "key").write_bytes(key.encode() + b"\n")
        place = f"file: {folder / 'key'}"
    line = f"  keys: [{{{place}}}]" if setting == "keys" else f"  link_key: {{{place}}}"
    config = folder / "config.yaml"
    config.write_text(text.replace("\nserver:\n", f"\nserver:\n{line}\n", 1), encoding="utf-8")
    return load_settings(config, {}), config


@pytest.mark.parametrize(
    ("key", "setting", "in_file"),
    [
        ("a", "keys", False),
        ("a", "link_key", True),
        ("fifteen-charact", "link_key", False),
        ("fifteen-charact", "keys", True),
        ("a" * 32, "keys", True),
        ("a key of many words", "link_key", False),
        ("01234567\ufeff89abcdef", "keys", True),
        ("01234567\ufeff89abcdef", "link_key", False),
        ("密钥密钥" * 8, "keys", False),
    ],
)
def test_what_is_no_key_is_found_by_check_and_refused_at_the_start_and_never_quoted(
    tmp_path: Path, setting: str, key: str, in_file: bool
) -> None:
    settings, config = with_secret(tmp_path, setting, key, in_file=in_file)
    findings = [finding for finding in check([], config).findings if "key" in finding.text]
    assert len(findings) == 1, findings
    line = config.read_text(encoding="utf-8").splitlines()[findings[0].line - 1]
    assert setting in line
    with pytest.raises(StartupError) as refused:
        read_keys(settings)
    assert f"server.{setting}: " in str(refused.value)
    assert key not in str(refused.value) + findings[0].text or key == "a"


@pytest.mark.parametrize("setting", ["keys", "link_key"])
def test_a_good_key_passes_both(tmp_path: Path, setting: str) -> None:
    settings, config = with_secret(tmp_path, setting, GOOD, in_file=True)
    assert [finding for finding in check([], config).findings if "key" in finding.text] == []
    assert read_keys(settings) == ([GOOD] if setting == "keys" else [])


def test_a_key_file_that_is_missing_is_found_once_and_refused(tmp_path: Path) -> None:
    settings, config = with_secret(tmp_path, "link_key", GOOD, in_file=True)
    (tmp_path / "key").unlink()
    [finding] = [finding for finding in check([], config).findings if "key" in finding.text]
    assert "No such file" in finding.text
    with pytest.raises(StartupError, match=r"server\.link_key: .*No such file"):
        read_keys(settings)


def test_an_address_that_others_reach_without_a_key_is_found_by_check(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    text = CONFIG.read_text(encoding="utf-8")
    config.write_text(text.replace("host: 127.0.0.1", "host: 0.0.0.0", 1), encoding="utf-8")
    assert ["which others can reach" in finding.text for finding in check([], config).findings] == [True]
    with pytest.raises(StartupError, match="which others can reach"):
        read_keys(bank(tmp_path, SERVER__HOST="0.0.0.0"))


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("0123456789abcde", "at least 16"),
        ("0123456789abcdef", ""),
        ("abcdeabcdeabcdeabcde", "different characters"),
        ("abcdefabcdefabcdef", ""),
        ("0123456789abcde\u00a0", "ASCII"),
    ],
)
def test_the_limits_of_a_key(key: str, fault: str) -> None:
    assert (fault in key_fault(key)) if fault else key_fault(key) == ""
