"""The shipped configuration and rules with limits so short that a test can wait for them."""

import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from incident_engine.common.yaml_loader import load_file
from support.servers import ROOT

PACK = "in-seconds"


def write_rules(directory: Path, *, one_province_iii: str, two_provinces_ii: str) -> Path:
    """Write the shipped rules with short limits for the levels III and II, as a pack of its own."""
    rules = directory / "rules"
    for folder in ("messages", "reports"):
        shutil.copytree(ROOT / "rules" / folder, rules / folder, ignore=shutil.ignore_patterns("dora-*.yaml"))
    pack = deepcopy(load_file(ROOT / "rules" / "grading" / "cn-cbrc-2008.yaml").data)
    pack["pack"] = PACK
    del pack["cases"]
    by_id = {rule["id"]: rule for rule in pack["rules"]}
    by_id["art9-2-2"]["when"]["any"][0]["regions_down"]["for"]["at_least"] = two_provinces_ii
    by_id["art9-3-2"]["when"]["regions_down"]["for"]["at_least"] = one_province_iii
    (rules / "grading").mkdir()
    (rules / "grading" / f"{PACK}.yaml").write_text(yaml.safe_dump(pack, allow_unicode=True), encoding="utf-8")
    playbook = (ROOT / "rules" / "playbooks" / "outage-response.yaml").read_text(encoding="utf-8")
    assert playbook.count("settle: 5m") == 1
    (rules / "playbooks").mkdir()
    shortened = playbook.replace("settle: 5m", "settle: 1s")
    (rules / "playbooks" / "outage-response.yaml").write_text(shortened, encoding="utf-8")
    return rules


def write_config(directory: Path, rules: Path | None = None, **sections: Any) -> Path:
    """Write the shipped configuration with a database and an outbox in the directory; sections replace its own."""
    directory.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["playbooks"] = ["outage-response"]
    config["closing"] = {"observation": "0s"}
    config["store"] = {"url": f"sqlite:///{directory / 'engine.db'}"}
    config["channels"] = {"outbox": {"type": "outbox", "directory": str(directory / "outbox")}}
    if rules is not None:
        config["rules"] = {"directory": str(rules)}
        config["grading"] = {"packs": [PACK], "primary": PACK}
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump({**config, **sections}, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


def contacts(via: Mapping[str, list[dict[str, str]]]) -> list[dict[str, Any]]:
    """Return the shipped contacts, each reached as the mapping says."""
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["contacts"]
    return [{**contact, "via": via.get(contact["id"], next(iter(via.values())))} for contact in shipped]
