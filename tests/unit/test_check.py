"""`check`: what an operator is told before anything starts."""

from pathlib import Path

import pytest
from support.builders import CBRC_FILE, CONFIG, RULES, at, cbrc, settings, write

from incident_engine.cli.check import check
from incident_engine.common.errors import InvalidDocumentError, InvalidFilesError
from incident_engine.config.rulebook import load_packs
from incident_engine.config.scenario import find_scenario, load_scenario

SCENARIO = (RULES / "scenarios" / "two-provinces.yaml").read_text(encoding="utf-8")
PACK = CBRC_FILE.read_text(encoding="utf-8")


def said(path: Path, config: Path = CONFIG) -> list[str]:
    """Return the findings in one file, each without the path."""
    findings = [str(finding) for finding in check([path], config).findings]
    return [text.removeprefix(f"{path}:") for text in findings if text.startswith(f"{path}:")]


def changed(folder: Path, text: str, old: str, new: str) -> Path:
    assert old in text
    return write(folder, "file.yaml", text.replace(old, new, 1))


def test_a_correct_file_has_no_findings_and_its_cases_are_counted(tmp_path: Path) -> None:
    checked = check([write(tmp_path, "file.yaml", PACK)], CONFIG)
    assert (checked.findings, checked.files, checked.cases) == ([], 2, len(cbrc().cases))


def test_a_folder_is_checked_with_everything_in_it(tmp_path: Path) -> None:
    write(tmp_path, "a/one.yaml", PACK)
    write(tmp_path, "b/two.yaml", SCENARIO)
    write(tmp_path, "b/ignored.txt", "pakc: x")
    checked = check([tmp_path], CONFIG)
    assert (checked.findings, checked.files) == ([], 3)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (found,) = check([tmp_path / "nothing.yaml"], CONFIG).findings
    assert str(found) == f"{tmp_path / 'nothing.yaml'}:1:1: there is no such file or folder"


def test_years_without_published_days_off_are_named_by_all_that_count_days_in_them(tmp_path: Path) -> None:
    december = at("2026-12-01 09:00")
    counting = {"cn-cbrc-2008": [2027], "bank.calendar": [2027]}
    text = CONFIG.read_text(encoding="utf-8")
    assert check([], CONFIG).guessed_years(december) == {"counter": [2027]} | counting
    # A bank whose services are always open counts working days for its reports all the same.
    always = write(tmp_path, "config.yaml", text.replace("hours: counter,", "hours: always,"))
    assert check([], always).guessed_years(december) == counting
    # Without a calendar of the bank's own, its deadlines take every day as a working day.
    none = write(
        tmp_path, "config.yaml", text.replace("hours: counter,", "hours: always,").replace("  calendar: CN #", "  #")
    )
    assert check([], none).guessed_years(december) == {"cn-cbrc-2008": [2027]}


def test_findings_stand_in_order_and_once(tmp_path: Path) -> None:
    wrong = changed(tmp_path, SCENARIO, "scenario:", "scenarioo:")
    twice = check([wrong, wrong, tmp_path / "nothing.yaml"], CONFIG).findings
    assert twice == sorted(set(twice))
    assert len(twice) == 2


def test_a_scenario_beside_a_wrong_configuration_is_not_called_something_else(tmp_path: Path) -> None:
    config = write(tmp_path, "config.yaml", "bank: {}\n")
    assert not any("is no pack" in text for text in said(write(tmp_path, "file.yaml", SCENARIO), config))


@pytest.mark.parametrize(
    ("old", "new", "nearest"),
    [
        ("level: III}", "level: IIII}", "III"),
        ("{first-report: met,", "{first-reprot: met,", "first-report"),
        ("steps: [duty-update", "steps: [duty-updaet", "duty-update"),
        ("{fulfils: first-report", "{fulfils: first-reprot", "first-report"),
    ],
    ids=["level", "obligation", "step", "fulfils"],
)
def test_what_a_scenario_names_must_exist(tmp_path: Path, old: str, new: str, nearest: str) -> None:
    found = said(changed(tmp_path, SCENARIO, old, new))
    assert any(text.endswith(f"did you mean '{nearest}'?") for text in found)


@pytest.mark.parametrize(
    ("cases_left_out", "lacks"),
    [
        (
            ["one province just under half an hour"],
            "no case is just below (by less than a minute) the limit of 30m in 1 region(s)",
        ),
        (["one province half an hour to the minute"], "no case is exactly on the limit of 30m in 1 region(s)"),
        (
            ["two provinces just over three hours", "deadlines stay when the level rises"],
            "no case is above the limit of 3h in 2 region(s)",
        ),
    ],
    ids=["below", "on", "above"],
)
def test_every_threshold_needs_a_case_below_on_and_above_it(
    tmp_path: Path, cases_left_out: list[str], lacks: str
) -> None:
    head, _, cases = PACK.partition("cases:\n")
    parts = cases.replace("  - name:", "\0  - name:").replace("  - {name:", "\0  - {name:").split("\0")
    kept = [part for part in parts if not any(name in part for name in cases_left_out)]
    assert len(kept) == len(parts) - len(cases_left_out)
    found = said(write(tmp_path, "file.yaml", f"{head}cases:\n{''.join(kept)}"))
    assert any(lacks in text for text in found), found


def test_an_outage_of_a_case_must_not_end_before_it_begins(tmp_path: Path) -> None:
    turned = changed(tmp_path, PACK, '{CN-GD: ["09:00", "09:29:59"]}', '{DE-HE: ["12:00", "09:00"]}')
    assert said(turned)


def test_a_regulation_must_not_end_before_it_begins(tmp_path: Path) -> None:
    found = said(changed(tmp_path, PACK, "{from: 2008-04-23}", "{from: 2008-04-23, until: 2008-04-23}"))
    assert any(": in_force" in text for text in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [("at_least: 1, for: {at_least: 6h}", "at_least: true, for: {at_least: 6h}"), ("2008-04-23", "1208908800")],
)
def test_a_value_of_another_kind_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert said(changed(tmp_path, PACK, old, new))


# Names given on the command line.


def test_a_pack_is_found_by_its_name() -> None:
    assert load_packs(settings(), CONFIG, ["cn-cbrc-2008"]) == load_packs(settings(), CONFIG, []) == [cbrc()]


def test_an_unknown_pack_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidDocumentError, match=r"unknown pack 'cn-cbrc-208'.*did you mean 'cn-cbrc-2008'\?"):
        load_packs(settings(), CONFIG, ["cn-cbrc-208"])


def test_a_scenario_is_found_by_name_or_path(tmp_path: Path) -> None:
    assert find_scenario("two-provinces", settings()) == RULES / "scenarios" / "two-provinces.yaml"
    own = write(tmp_path, "own.yaml", SCENARIO)
    assert find_scenario(str(own), settings()) == own


def test_an_unknown_scenario_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidFilesError, match=r"there is no such scenario.*did you mean 'two-provinces'\?"):
        find_scenario("two-province", settings())


def test_a_scenario_happens_in_order_of_time_from_its_start(tmp_path: Path) -> None:
    turned = changed(tmp_path, SCENARIO, "at: 12m, type: note", "at: 50m, type: note")
    events = load_scenario(turned, settings()).native_events()
    assert [event.occurred_at for event in events] == sorted(event.occurred_at for event in events)
    assert events[0].occurred_at == at("10:35")
    assert len({event.id for event in events}) == len(events) == SCENARIO.count("service: core-banking")


def test_the_shipped_scenarios_are_about_the_shipped_bank_and_not_checked_for_another(tmp_path: Path) -> None:
    own = write(tmp_path, "config.yaml", CONFIG.read_text(encoding="utf-8").replace("{id: mobile,", "{id: mobil,"))
    assert check([], own).findings == []
    path = RULES / "scenarios" / "flapping-mobile.yaml"
    assert any("did you mean 'mobil'?" in text for text in said(path, own))


def test_a_channel_that_the_daemon_could_not_open_is_found_before_it_starts(tmp_path: Path) -> None:
    key = write(tmp_path, "key", "not a url")
    empty = write(tmp_path, "empty", "")
    robot = f"  wecom: {{type: wecom, url: {{file: {key}}}}}\n"
    desk = f"  desk: {{type: webhook, url: 'https://a.example/', secret: {{file: {empty}}}}}\n"
    channels = f"channels:\n{robot}{desk}"
    text = CONFIG.read_text(encoding="utf-8").replace("channels:\n", channels, 1)
    found = [str(each) for each in check([], write(tmp_path, "config.yaml", text)).findings]
    assert any("channels.wecom: url is not the address of a chat bot" in each for each in found), found
    assert any("is empty" in each for each in found), found


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:00:00-23:59", "9999-12-31T23:00:00Z"])
def test_a_scenario_near_the_ends_of_the_calendar_is_refused_in_words(tmp_path: Path, start: str) -> None:
    [line] = [line for line in SCENARIO.splitlines() if line.startswith("start:")]
    [finding] = said(changed(tmp_path, SCENARIO, line, f"start: {start}"))
    assert "expected one from 1970 to 2199" in finding


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_pack_in_force_near_the_ends_of_the_calendar_is_refused_in_words(tmp_path: Path, day: str) -> None:
    [line] = [line for line in PACK.splitlines() if line.startswith("in_force:")]
    [finding] = said(changed(tmp_path, PACK, line, f"in_force: {{from: 2008-01-01, until: {day}}}"))
    assert "expected one from 1970-01-01 to 2199-12-31" in finding
