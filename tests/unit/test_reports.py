"""Drafts of reports: every field the articles name, gaps marked, people's words, and nothing that ages by itself."""

from collections.abc import Sequence

import pytest
from support.builders import CHINA, RULES, at, cbrc, incident, recorded, reported, restored, settings, verdict
from support.reports import TWO_PROVINCES, book, drafted, facts, report, text, wrote

from incident_engine.domain.events.model import Recorded
from incident_engine.domain.reports.drafting import GAP, content_hash, draft_report, report_from
from incident_engine.domain.reports.fact_variables import report_variables
from incident_engine.domain.reports.report_book import ReportBook
from incident_engine.domain.reports.samples import samples
from incident_engine.domain.reports.variables import REPORT_VARIABLES
from incident_engine.engine.report_facts import facts_of

OVER = (*TWO_PROVINCES, restored("14:45"), restored("14:45", "CN-HN"))
ART_36 = {
    "time",
    "place",
    "symptoms",
    "business",
    "cause",
    "consequences",
    "measures",
    "next-steps",
    "unit",
    "contact",
    "other",
    "coordination",
}
ART_43 = {
    "a": {"symptoms", "scope", "handling-time", "handling-course", "losses"},
    "b": {"plan-usable", "problems", "whole-course"},
    "c": {"root-cause", "difficulties", "improvements"},
}
ART_28 = {"purpose", "plan", "people", "preparation", "key-times", "course", "problems", "improvements", "conclusion"}


# What the articles ask for


def test_the_written_report_has_every_field_of_article_36() -> None:
    found = report("cbrc-formal-report", "11:30", *TWO_PROVINCES)
    assert {field.id for field in found.fields if field.cite == "Art. 36"} == ART_36
    optional = {field.id for field in found.fields if not field.required}
    assert optional == {"other"}


def test_the_summary_has_every_field_of_article_43() -> None:
    found = report("cbrc-summary-report", "15:00", *OVER)
    for part, fields in ART_43.items():
        assert fields <= {field.id for field in found.fields if field.cite == f"Art. 43({part})"}


def test_the_report_on_a_drill_has_every_field_of_article_28() -> None:
    found = report("drill-report", "15:00", *OVER)
    assert {field.id for field in found.fields if field.cite == "Art. 28" and field.required} == ART_28


def test_dora_s_reports_have_the_groups_of_the_template_one_more_each() -> None:
    groups = ["general", "initial", "intermediate", "final"]
    for count, name in ((2, "dora-initial"), (3, "dora-intermediate"), (4, "dora-final")):
        found = report(name, "11:30", *TWO_PROVINCES)
        assert [section.id for section in found.sections] == groups[:count]
    cites = [field.cite for field in report("dora-final", "11:30", *TWO_PROVINCES).fields]
    numbers = [(1, 15), (2, 10), (3, 35), (4, 16)]
    assert cites == [f"Annex I, {group}.{place}" for group, last in numbers for place in range(1, last + 1)]


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
def test_the_facts_fill_in_what_they_know(locale: str) -> None:
    events = (*OVER, recorded("note.added", "10:50", data={"text": "切换到备用机房"}), reported("11:16"))
    found = report("cbrc-formal-report", "15:00", *events, locale=locale)
    says = {
        "time": {"zh-CN": "恢复：2013年6月23日14:45（历时4小时10分钟）", "en": "(after 4 hours 10 minutes)"},
        "place": {"zh-CN": "广东和湖南", "en": "Guangdong and Hunan"},
        "business": {"zh-CN": "核心账务", "en": "Core banking"},
        "symptoms": {"zh-CN": "服务时段内累计3小时25分钟", "en": "3 hours 25 minutes of it in service hours"},
        "consequences": {"zh-CN": "I级（特别重大）", "en": "Level I (Particularly major)"},
    }
    for field, by_locale in says.items():
        assert by_locale[locale] in text(found, field)
    assert (
        text(found, "measures").splitlines()[0]
        == {
            "zh-CN": "2013-06-23 10:50：切换到备用机房",
            "en": "2013-06-23 10:50: 切换到备用机房",
        }[locale]
    )
    assert "11:16" in text(found, "measures").splitlines()[1]


def test_required_fields_without_a_word_are_gaps_and_optional_ones_are_not() -> None:
    found = report("cbrc-formal-report", "11:30", *TWO_PROVINCES)
    assert {field.id for field in found.gaps} == {"cause", "measures", "next-steps", "coordination"}
    assert set(GAP) == {"zh-CN", "en"}


# What people write


def test_people_s_words_fill_gaps_and_stand_below_the_facts_with_their_name() -> None:
    first = wrote("11:25", "cbrc-formal-report", next_steps="Switch over", time="Clock of the core")
    found = report("cbrc-formal-report", "11:30", *TWO_PROVINCES, first)
    by_id = {field.id: field for field in found.fields}
    assert (by_id["next-steps"].text, by_id["next-steps"].by) == ("Switch over", "Wang Min")
    assert by_id["time"].text.splitlines()[-1] == "Clock of the core"
    assert by_id["time"].facts
    assert not by_id["next-steps"].is_gap


def test_the_latest_word_counts_and_an_empty_one_takes_it_back() -> None:
    words = [
        wrote("11:25", "cbrc-formal-report", next_steps="Switch"),
        wrote("11:26", "cbrc-formal-report", by="Li", next_steps="Wait"),
    ]
    assert text(report("cbrc-formal-report", "11:30", *TWO_PROVINCES, *words), "next-steps") == "Wait"
    words.append(wrote("11:27", "cbrc-formal-report", next_steps=""))
    found = report("cbrc-formal-report", "11:30", *TWO_PROVINCES, *words)
    assert "next-steps" in {field.id for field in found.gaps}


def test_each_instance_of_a_repeated_report_has_words_of_its_own() -> None:
    events = (*TWO_PROVINCES, wrote("16:00", "cbrc-progress-report", progress="first"))
    one = draft_report(book(), "cbrc-progress-report", facts("18:30", *events))
    two = draft_report(book(), "cbrc-progress-report", facts("18:30", *events), since=at("16:20"))
    assert text(one.by_locale["en"], "progress") == "first"
    assert text(two.by_locale["en"], "progress") == ""


# Nothing ages by itself


@pytest.mark.parametrize("name", sorted(p.stem for p in (RULES / "reports").glob("*.yaml")))
def test_a_draft_changes_with_the_facts_and_not_with_the_clock(name: str) -> None:
    field = book().definitions[name].fields[0].id
    events = (*TWO_PROVINCES, wrote("11:25", name, **{field: "so"}))
    early, late = (content_hash(drafted(name, now, *events).document()) for now in ("12:00", "12:45"))
    assert early == late
    told = drafted(name, "12:45", *events, recorded("plan.failed", "12:40", data={"by": "Li", "reason": "no key"}))
    added = (restored("12:40"), restored("12:40", "CN-HN"))
    assert (
        content_hash(told.document()) != early
        or content_hash(drafted(name, "12:45", *events, *added).document()) != early
    )


def test_progress_alone_says_how_long_it_has_lasted_as_of_the_latest_fact() -> None:
    note = recorded("note.added", "12:35", data={"text": "still trying"})
    found = report("cbrc-progress-report", "13:00", *TWO_PROVINCES, note)
    assert "2 hours as of 2013-06-23 12:35" in text(found, "symptoms")
    assert "lasted" not in text(report("cbrc-first-report", "13:00", *TWO_PROVINCES, note), "symptoms")


def test_only_figures_of_the_pack_s_measures_are_listed() -> None:
    measured = recorded("impact.measured", "11:07", data={"by": "Li", "measures": {"dora-clients-affected": 5}})
    recipient = book().definitions["cbrc-first-report"].addressee
    variables = report_variables(facts("11:30", *TWO_PROVINCES, measured), None, recipient, "en", progress=False)
    assert (variables["figures"], variables["measured"]["dora-clients-affected"]) == ([], "5")


# Who gets it (Art. 34)


def test_the_head_office_reports_to_the_regulator_and_a_branch_to_its_local_office() -> None:
    assert (
        report("cbrc-first-report", "11:30", *TWO_PROVINCES).addressee == "National Financial Regulatory Administration"
    )
    bank = settings().bank
    branch = bank.model_copy(update={"unit": bank.unit.model_copy(update={"kind": "branch"})})
    changed = settings().model_copy(update={"bank": branch})
    known = facts_of(changed, incident(*TWO_PROVINCES), [cbrc()], [verdict("11:30", *TWO_PROVINCES)])
    found = draft_report(book(), "cbrc-first-report", known).by_locale
    assert found["en"].addressee == "the regulator's local office"
    assert found["zh-CN"].addressee == "国家金融监督管理总局所在地派出机构"
    assert report("drill-report", "15:00", *OVER).addressee != found["en"].addressee


# Several packs


def test_a_report_of_a_pack_that_did_not_grade_the_incident_claims_no_level_of_it() -> None:
    found = report("dora-initial", "11:30", *TWO_PROVINCES)
    assert text(found, "detected-at") == "2013-06-23T02:35:00Z"
    assert text(found, "classified-at") == ""
    assert text(found, "criteria") == ""


# The document


def test_a_report_comes_back_from_its_document() -> None:
    found = drafted("cbrc-formal-report", "11:30", *TWO_PROVINCES)
    assert {locale: report_from(part) for locale, part in found.document().items()} == found.by_locale


def test_a_text_that_fails_leaves_a_gap_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    field = book().definitions["cbrc-first-report"].fields[0]
    broken = field.facts.model_copy(update={"en": "{{ incident.occurred_at.nothing.more }}"}) if field.facts else None
    definition = book().definitions["cbrc-first-report"]
    section = definition.sections[0]
    fields = (field.model_copy(update={"facts": broken}), *section.fields[1:])
    wrong = definition.model_copy(update={"sections": (section.model_copy(update={"fields": fields}),)})
    found = draft_report(ReportBook([wrong], CHINA), "cbrc-first-report", facts("11:30", *TWO_PROVINCES))
    assert [name for name, _ in found.failures] == ["time"]
    assert [field.id for field in found.by_locale["en"].gaps] == ["time"]
    assert found.by_locale["zh-CN"].gaps == ()


# The samples in which definitions are tried are shaped as the real variables are


def shape(variables: object) -> object:
    if isinstance(variables, dict):
        return {name: shape(value) for name, value in sorted(variables.items())} if type(variables) is dict else "any"
    return [shape(variables[0])] if isinstance(variables, list) and variables else "value"


def keys(given: object, path: str = "") -> set[str]:
    if isinstance(given, dict):
        return {f"{path}{name}" for name in given} | {k for name, v in given.items() for k in keys(v, f"{path}{name}.")}
    return {k for each in given for k in keys(each, f"{path}[].")} if isinstance(given, list) else set()


def everything() -> Sequence[Recorded]:
    harm = {"kind": "bank", "seriousness": "serious", "cause": "data_loss", "by": "Li", "reason": "so"}
    return (
        *OVER,
        recorded("note.added", "10:50", data={"text": "so"}),
        recorded("harm.assessed", "11:00", data=harm),
        recorded("repair.failed", "11:05", data={"by": "Li", "reason": "so"}),
        recorded("plan.failed", "11:06", data={"by": "Li", "reason": "so"}),
        recorded("impact.measured", "11:07", data={"by": "Li", "root_cause": "so"}),
        recorded("lesson.recorded", "15:00", data={"by": "Li", "text": "so"}),
        recorded("step.added", "15:01", data={"by": "Li", "reason": "so", "title": "so", "assignee": "Wu"}),
    )


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
def test_samples_have_the_variables_that_reports_have(locale: str) -> None:
    known = facts("11:30", *everything())
    real = report_variables(known, None, book().definitions["cbrc-first-report"].addressee, locale, progress=False)
    whole = dict(next(iter(samples()))[1])
    assert set(real) == set(whole) == set(REPORT_VARIABLES)
    for name in set(real) - {"figures", "measured", "next", "level"}:
        assert keys(shape(real[name])) == keys(shape(whole[name])), name
    for name, parts in REPORT_VARIABLES.items():
        if parts:
            assert set(parts) <= set(whole[name] or parts), name
