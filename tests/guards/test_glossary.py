"""Names are the field's words: none of the private ones of the first version is left or comes back."""

import pytest
from structure import ROOT

from guards.glossary import (
    ALLOWED,
    WORDS,
    Kind,
    Name,
    find_private,
    names_in_checkout,
    names_in_python,
    names_in_yaml,
)

ENGINE = "incident_engine/engine/sample.py"
WEB = "incident_engine/web/sample.py"


def found_in(code: str, path: str = WEB) -> list[str]:
    return [str(finding) for finding in find_private(names_in_python(path, code))]


def words_in(code: str, path: str = WEB) -> list[str]:
    return [finding.form for finding in find_private(names_in_python(path, code))]


def test_no_name_has_a_private_word() -> None:
    findings = find_private(names_in_checkout(ROOT))
    if findings:
        pytest.fail(f"{len(findings)} private words:\n" + "\n".join(map(str, findings)), pytrace=False)


def test_a_finding_names_the_place_the_word_and_the_word_to_use() -> None:
    assert found_in("\ndef wrong_deed(): ...\n") == [
        f"{WEB}:2: function or method `wrong_deed`: deed -> action",
    ]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("class DeedData: ...", "deed"),
        ("_MANY_DEEDS = 3", "deeds"),
        ("class StepWork: ...", "step_work"),
        ("class SelfAuditSettings: ...", "self_audit"),
        ("def f(ledger): ...", "ledger"),
        ("def f(*, spelled): ...", "spelled"),
        ("class A:\n    stretch: int", "stretch"),
        ("self.last_look = 1", "look"),
        ("from a import failpoints as faults", "faults"),
        ("f(begun_at=1)", "begun"),
        ("{'hypothesis': 1}", "hypothesis"),
        ("class _Known: ...", "known"),
        ("class BankWords: ...", "words"),
        ("for each in (): ...", "each"),
        ("try: ...\nexcept E as said: ...", "said"),
        ("match x:\n    case {'a': found}: ...", "found"),
        ("Column('life', Integer)", "life"),
        ("Column('of', String)", "of"),
        ("Column('incident_id', String)", "incident_id"),
        ("CheckConstraint(\"state IN ('pending', 'begun')\")", "begun"),
        ("op.create_table('mailboxes', sa.Column('id'))", "mailboxes"),
        ("Table('mailboxes', metadata)", "mailboxes"),
        ("Gauge('incident_engine_selfaudit_finding', 'Text.')", "selfaudit"),
        ("Counter('incident_engine_deliveries_bundled', 'Text.')", "bundled"),
    ],
)
def test_a_private_word_is_found_in_each_kind_of_name(code: str, word: str) -> None:
    assert words_in(code) == [word]


@pytest.mark.parametrize(
    "code",
    [
        "class StepAction: ...",
        "def measure(pleasure): ...",  # not "sure"
        "outstanding = indeed = 1",
        "def draft(): ...",  # of a report
        "release_held = HELD = 1",  # deliveries that wait for an approval
        "place_name = incident_id = of_step = 1",
        "words = text.split()",
        "x.deed()",  # a name is found where it is defined
        "print('deed', 'a deed of ledger')",
        "lookup = looks_like = 1",
        "alive = lifetime = 1",
        "{'again': 1}",
        "Column('position', Integer)",
        "CheckConstraint(\"state IN ('held', 'started')\")",
        "class Case: ...",  # in the engine only
    ],
)
def test_the_fields_words_and_ordinary_english_pass(code: str) -> None:
    assert words_in(code) == []


def test_a_word_that_is_ordinary_elsewhere_is_found_where_it_is_private() -> None:
    assert words_in("class Case: ...\ndef say(): ...", ENGINE) == ["case", "say"]
    assert words_in("class Case: ...", "incident_engine/domain/grading/pack_case.py") == []


def test_a_module_is_found_by_the_name_of_its_file() -> None:
    name = Name("incident_engine/store/copying.py", 1, Kind.MODULE, "copying")
    assert [finding.word.instead for finding in find_private([name])] == ["backup"]


def test_yaml_keys_are_found_in_blocks_and_in_flows_and_values_are_not() -> None:
    text = "steps:\n  - {id: page, again: 30m}\n  - note: again\nself_audit: {}\n"
    findings = find_private(names_in_yaml("rules/playbooks/sample.yaml", text))
    assert [(finding.name.line, finding.form) for finding in findings] == [(2, "again"), (4, "self_audit")]


def test_a_key_of_the_field_passes() -> None:
    assert (
        find_private(names_in_yaml("rules/playbooks/sample.yaml", "{repeat_every: 30m, requires: a, settle: 5m}")) == []
    )


def test_an_allowed_name_passes_in_its_file_only() -> None:
    code = "Histogram('incident_engine_lateness', 'Text.', buckets=(1, 2))"
    assert words_in(code, "incident_engine/common/telemetry.py") == []
    assert words_in(code) == ["buckets"]


def test_each_allowance_has_a_reason_and_a_name_that_needs_it() -> None:
    private = {form for word in WORDS for form in word.forms.split()}
    for (_, name), reason in ALLOWED.items():
        assert reason
        assert any(form in name.lower() for form in private)
