"""A pack's country, by its code alone."""

import pytest
from support.build import cbrc_document

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.domain.grading.pack_parser import parse_pack


@pytest.mark.parametrize("code", ["CHN", "cn", "Cn", "C", "ÄÖ", "C1N", "China"])
def test_a_country_is_two_capital_letters(code: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        parse_pack({**cbrc_document(), "country": code})
    (found,) = caught.value.problems
    assert (found.pointer, found.message) == ("/country", f"not a country's code: {code!r}")
    assert found.expected == "two capital letters (ISO 3166-1), such as CN"


@pytest.mark.parametrize(("code", "prefix"), [("", ""), ("DE", "DE-")])
def test_a_pack_may_count_the_regions_of_another_country_or_of_all(code: str, prefix: str) -> None:
    assert parse_pack({**cbrc_document(), "country": code}).region_prefix == prefix
