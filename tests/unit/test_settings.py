"""config.yaml and the environment: what they give, and how each mistake is named."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.builders import CONFIG, at, settings, write

from incident_engine.common.errors import InvalidFilesError
from incident_engine.config.channels import EmailSettings, OutboxSettings
from incident_engine.config.secret import Secret
from incident_engine.config.settings import Settings, load_settings
from incident_engine.domain.calendar.service_hours import AlwaysOpen, elapsed

TEXT = CONFIG.read_text(encoding="utf-8")


def with_environment(**given: str) -> Settings:
    return load_settings(CONFIG, {f"INCIDENT_ENGINE__{name}": value for name, value in given.items()})


def load(folder: Path, old: str = "", new: str = "") -> Settings:
    assert old in TEXT
    return load_settings(write(folder, "config.yaml", TEXT.replace(old, new, 1)), {})


def findings(folder: Path, old: str, new: str) -> list[str]:
    """Return what is said, each as line:column: text; the shipped file with one change."""
    with pytest.raises(InvalidFilesError) as caught:
        load(folder, old, new)
    return [str(finding).removeprefix(f"{folder / 'config.yaml'}:") for finding in caught.value.findings]


def line_of(text: str) -> int:
    return 1 + TEXT[: TEXT.index(text)].count("\n")


def environment_findings(**given: str) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        with_environment(**given)
    return [str(finding) for finding in caught.value.findings]


def test_the_shipped_configuration_is_valid() -> None:
    shipped = settings()
    assert shipped.bank.name.in_("zh-CN") == "云帆银行"
    assert shipped.bank.zone.key == "Asia/Shanghai"
    assert shipped.server.is_loopback
    assert shipped.grading.primary == "cn-cbrc-2008"
    assert shipped.intake.window == timedelta(hours=2)


def test_a_service_is_always_open_unless_it_names_its_hours() -> None:
    assert isinstance(settings().service_hours({})["core-banking"], AlwaysOpen)
    week = at("2013-06-24 00:00"), at("2013-07-01 00:00")
    assert elapsed(settings().service_hours({})["counter"].segments(*week), week[1]) == timedelta(hours=40)


def test_services_without_a_group_are_their_own(tmp_path: Path) -> None:
    assert settings().groups["mobile"] == "banking"
    assert load(tmp_path, ", group: payments}", "}").groups["payments"] == "payments"


# The environment.


def test_the_environment_overrides_a_key_and_leaves_its_neighbours() -> None:
    found = with_environment(SERVER__PORT="9000")
    assert (found.server.port, found.server.host) == (9000, "127.0.0.1")


def test_the_environment_reaches_into_depth() -> None:
    found = with_environment(CHANNELS__OUTBOX__DIRECTORY="/srv/out", HOURS__COUNTER__TIMEZONE="Asia/Urumqi")
    outbox = found.channels["outbox"]
    assert isinstance(outbox, OutboxSettings)
    assert outbox.directory == Path("/srv/out")
    assert found.hours["counter"].timezone == "Asia/Urumqi"


def test_the_environment_gives_lists_as_json() -> None:
    assert with_environment(PLAYBOOKS='["a", "b"]').playbooks == ("a", "b")


def test_the_case_of_a_variable_does_not_matter() -> None:
    assert load_settings(CONFIG, {"incident_engine__Server__port": "9001"}).server.port == 9001


def test_other_variables_are_none_of_our_business() -> None:
    assert load_settings(CONFIG, {"SERVER__PORT": "1", "INCIDENT_ENGINE_HOME": "/x"}).server.port == 8080


@pytest.mark.parametrize(
    ("name", "said", "nearest"),
    [
        ("SERVER__PROT", "INCIDENT_ENGINE__SERVER__PROT: unknown key 'prot'", "port"),
        ("SERVR__PORT", "INCIDENT_ENGINE__SERVR", "server"),
        ("STORE__URI", "INCIDENT_ENGINE__STORE__URI: unknown key 'uri'", "url"),
        ("PLAYBOOK", "INCIDENT_ENGINE__PLAYBOOK: unknown key 'playbook'", "playbooks"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_one(name: str, said: str, nearest: str) -> None:
    (found,) = environment_findings(**{name: "1"})
    assert found.startswith(f"environment:1:1: {said}")
    assert found.endswith(f"did you mean '{nearest}'?")


def test_a_wrong_value_in_the_environment_names_its_variable() -> None:
    (found,) = environment_findings(SERVER__PORT="many")
    assert found.startswith("environment:1:1: INCIDENT_ENGINE__SERVER__PORT: ")
    assert "'many'" in found


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://engine:hush-hush@db.bank.example/engine",
        "postgresql+psycopg://engine@/engine?host=/run/postgresql",
        "sqlite:////var/lib/engine.db",
    ],
)
def test_a_store_is_a_file_or_a_database_on_a_server(url: str) -> None:
    assert with_environment(STORE__URL=url).store.url == url


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://engine:hush-hush@db.bank.example/engine", "postgresql"),
        ("postgres://engine:hush-hush@db.bank.example/engine", "postgres"),
        ("postgresql+psycopg://engine:hush-hush@db.bank.example", "postgresql+psycopg"),
        ("sqlite://", "sqlite"),
        ("sqlite:///:memory:", "sqlite"),
        ("engine:hush-hush@db.bank.example", ""),
    ],
)
def test_an_address_of_another_kind_is_refused_and_its_password_not_repeated(url: str, kind: str) -> None:
    (found,) = environment_findings(STORE__URL=url)
    assert found.startswith(f"environment:1:1: INCIDENT_ENGINE__STORE__URL: not a database: '{kind}'")
    assert "postgresql+psycopg://USER@HOST/DATABASE" in found
    assert "hush-hush" not in found


@pytest.mark.parametrize("name", ["PLAYBOOKS", "SERVER", "SERVICES"])
def test_a_variable_that_must_be_json_and_is_not_is_named(name: str) -> None:
    found = environment_findings(**{name: "outage-response"})
    assert f"INCIDENT_ENGINE__{name}" in found[0]


# The file.


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("  port: 8080", "  prot: 8080", "  port: 8080", "3: server.prot: unknown key 'prot'"),
        ("playbooks: [", "playbook: [", "playbooks: [", "1: playbook: unknown key 'playbook'"),
        ("  window: 2h", "  windoww: 2h", "  window: 2h", "3: intake.windoww: unknown key 'windoww'"),
        ("  window: 2h", "  window: 2 hours", "  window: 2h", "3: intake.window: not a duration: '2 hours'"),
        ("Asia/Shanghai", "Asia/Shanghi", "timezone", "3: bank.timezone: unknown time zone 'Asia/Shanghi'"),
        ("hours: counter,", "hours: countr,", "{id: counter", "unknown hours 'countr'"),
        ("primary: cn-cbrc-2008", "primary: cn-cbrc", "grading: {", "primary 'cn-cbrc' is not among the packs"),
        ("{id: mobile,", "{id: atm,", "{id: atm", "services.3.id: 'atm' is used twice"),
        ("via: [{channel: outbox}]}", "via: [{channel: outbx}]}", "id: duty-officer", "unknown channel 'outbx'"),
        ("[duty-officer, duty-engineer]", "[duty-oficer]", "  duty-team:", "unknown contact 'duty-oficer'"),
        ('"09:00-17:00"', '"9-17"', "  counter: {", "hours.counter"),
        ("mon-fri: [", "mo-fr: [", "  counter: {", "not days: 'mo-fr'"),
        ("{type: outbox,", "{type: outbx,", "  outbox: {", "channels.outbox.type: unknown type 'outbx'"),
        ("sqlite:///", "mysql:///", "store: {", "store.url"),
        ("  port: 8080", "  port: 99999", "  port: 8080", "server.port"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: str, said: str) -> None:
    found = findings(tmp_path, old, new)
    wanted = [each for each in found if said in each]
    assert len(wanted) == 1, found
    assert wanted[0].startswith(f"{line_of(line)}:")


@pytest.mark.parametrize(
    ("old", "new", "nearest"),
    [
        ("  port: 8080", "  prot: 8080", "port"),
        ("hours: counter,", "hours: countr,", "counter"),
        ("via: [{channel: outbox}]}", "via: [{channel: outbx}]}", "outbox"),
        ("[duty-officer, duty-engineer]", "[duty-oficer]", "duty-officer"),
        ("{type: outbox,", "{type: outbx,", "outbox"),
    ],
)
def test_a_wrong_name_comes_with_the_nearest_one(tmp_path: Path, old: str, new: str, nearest: str) -> None:
    assert any(each.endswith(f"did you mean '{nearest}'?") for each in findings(tmp_path, old, new))


@pytest.mark.parametrize("text", ["", "- bank\n", "bank\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidFilesError, match="is empty or not a mapping"):
        load_settings(write(tmp_path, "config.yaml", text), {})


def test_what_is_built_in_cannot_be_named_again(tmp_path: Path) -> None:
    (found,) = findings(
        tmp_path, "  counter: {", '  always: {timezone: UTC, open: {mon: ["09:00-10:00"]}}\n  counter: {'
    )
    assert "'always' is built in" in found


def test_an_email_channel_needs_addresses(tmp_path: Path) -> None:
    mail = "  outbox: {type: email, host: h, port: 25, sender: a@b.example}\n"
    old = "  outbox: {type: outbox, directory: var/outbox} # messages as files\n"
    found = findings(tmp_path, old, mail)
    assert len(found) == len(settings().contacts)
    assert all("an e-mail channel needs one plain address" in each for each in found)


# Secrets.


def test_a_secret_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    path = write(tmp_path, "secret", "s3cret\n")
    assert Secret(file=path).read() == "s3cret"
    assert Secret(value="plain").read() == "plain"


def test_a_secret_is_never_shown() -> None:
    assert "s3cret" not in repr(Secret(value="s3cret"))


@pytest.mark.parametrize("given", [{}, {"value": "x", "file": "y"}])
def test_a_secret_has_exactly_one_place(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one place"):
        Secret.model_validate(given)


def test_a_secrets_file_that_is_missing_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        Secret(file=tmp_path / "nothing").read()


def test_an_email_channel_has_its_password_in_a_file(tmp_path: Path) -> None:
    password = write(tmp_path, "mail", "pw\n")
    changed = load(
        tmp_path,
        "channels:\n",
        "channels:\n  mail: {type: email, host: h, port: 587, sender: a@b.example, username: u, "
        f"password: {{file: {password}}}}}\n",
    )
    mail = changed.channels["mail"]
    assert isinstance(mail, EmailSettings)
    assert mail.password is not None
    assert mail.password.read() == "pw"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("192.168.1.5", False), ("bank.example", False)],
)  # fmt: skip
def test_only_this_machine_reaches_a_loopback_address(host: str, expected: bool) -> None:
    assert with_environment(SERVER__HOST=host).server.is_loopback is expected
