"""Ids of steps: every id is read back as it was, whatever the incident's key and the instance are."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from incident_engine.domain.events.fields import IncidentKey
from incident_engine.domain.step_id import StepId
from incident_engine.domain.values import Identifier

_KEY: TypeAdapter[str] = TypeAdapter(IncidentKey)
_NAME: TypeAdapter[str] = TypeAdapter(Identifier)


def accepted(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", fullmatch=True)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", fullmatch=True)
generated = st.builds("20130623-{}-1f2e3d4c".format, st.text(min_size=1).filter(str.isprintable))
"""Keys of an offline history: a service that no configuration knows may have any printable name."""
stamps = st.sampled_from(["20130623T023500Z", "20130623T023500.000001Z"])
instances = st.one_of(
    names, stamps, st.builds("{}.{}".format, names, st.integers(1, 99)), st.builds("added.{}-ab".format, stamps)
)
ids = st.builds(StepId, st.one_of(keys, generated), names, names, instances)
suffixes = st.one_of(
    st.just("ask"), st.builds("to.{}".format, stamps), st.builds("{}.{}".format, st.integers(1), st.integers(0, 9))
)


@given(ids)
def test_an_id_is_read_back_as_it_was(step_id: StepId) -> None:
    assert StepId.parse(str(step_id)) == step_id
    assert step_id.parent is None


@given(ids, suffixes)
def test_a_derived_id_is_read_back_with_its_parent(step_id: StepId, suffix: str) -> None:
    derived = step_id.derived(suffix)
    assert StepId.parse(str(derived)) == derived
    assert derived.parent == derived.base == step_id


@given(ids, st.integers(1), st.integers(0))
def test_a_round_and_a_tier_are_read_back(step_id: StepId, escalation_round: int, tier: int) -> None:
    derived = StepId.parse(str(step_id.derived(f"{escalation_round}.{tier}")))
    assert derived is not None
    assert (derived.round, derived.tier) == (escalation_round, tier)


@given(st.text(max_size=30), st.sampled_from(":~"), st.text(max_size=30))
def test_no_key_and_no_name_has_the_separators(before: str, separator: str, after: str) -> None:
    text = before + separator + after
    assert not accepted(_KEY, text)
    assert not accepted(_NAME, text)


@given(st.text())
def test_whatever_is_read_is_written_as_it_stood(text: str) -> None:
    parsed = StepId.parse(text)
    assert parsed is None or str(parsed) == text
