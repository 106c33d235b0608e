"""Ids of steps: their parts, their parents, and the names that people use for them."""

import pytest

from incident_engine.domain.step_id import (
    ASK,
    StepId,
    concerns_step,
    derived_name,
    has_short_name,
    is_derived,
    number_in_series,
)

PAGE = StepId("INC-2026-17", "core-banking", "page", "II")


def test_a_step_id_names_its_parts() -> None:
    assert str(PAGE) == "INC-2026-17:core-banking:page:II"
    assert StepId.parse("INC-2026-17:core-banking:page:II") == PAGE
    assert PAGE.short == "page/II"
    assert (PAGE.parent, PAGE.base) == (None, PAGE)


def test_an_escalation_round_names_its_parent_round_and_tier() -> None:
    second = StepId.parse("INC-2026-17:core-banking:page:II~2.1")
    assert second is not None
    assert (second.parent, second.base, second.round, second.tier) == (PAGE, PAGE, 2, 1)
    assert second == PAGE.derived("2.1")


@pytest.mark.parametrize("name", [ASK, "to.20130623T023500Z"])
def test_a_request_or_an_assignment_is_of_no_round(name: str) -> None:
    other = PAGE.derived(name)
    assert (other.parent, other.round, other.tier) == (PAGE, None, None)


@pytest.mark.parametrize("text", ["", "page", "INC-1:page", "INC-1:core-banking:page", "first-report"])
def test_other_texts_are_no_step_ids(text: str) -> None:
    assert StepId.parse(text) is None


def test_the_incident_of_a_service_with_a_colon_is_kept_whole() -> None:
    parsed = StepId.parse("20130623-db:primary~1-1f2e3d4c:p:s:III")
    assert parsed is not None
    assert (parsed.case_id, parsed.instance, parsed.parent) == ("20130623-db:primary~1-1f2e3d4c", "III", None)


def test_who_names_a_derived_step_means_its_parent_too() -> None:
    page = str(PAGE)
    assert concerns_step(page, page)
    assert concerns_step(derived_name(page, "2.1"), page)
    assert not concerns_step(page, derived_name(page, "2.1"))
    assert not concerns_step(f"{page}.2", page)
    assert is_derived(derived_name("II", "2.1"))
    assert not is_derived("II.2")


def test_a_short_name_without_an_instance_means_all() -> None:
    assert has_short_name("page", "page", "II")
    assert has_short_name("page/II", "page", "II")
    assert not has_short_name("page/I", "page", "II")
    assert not has_short_name("pages", "page", "II")


def test_only_the_later_instances_of_a_series_have_numbers() -> None:
    assert number_in_series("progress-report.3", "progress-report") == 3
    assert number_in_series("progress-report", "progress-report") is None
    assert number_in_series("other.3", "progress-report") is None
    assert number_in_series("progress-report.3.2", "progress-report") is None
