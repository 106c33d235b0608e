"""Ids of steps: `case:playbook:step:instance`, followed by `~name` for a step that is derived from another.

    20130623-core-1f2e3d4c:core-banking:page:II        the page for level II
    20130623-core-1f2e3d4c:core-banking:page:II~2.1    its second escalation round, to tier 1
    20130623-core-1f2e3d4c:core-banking:page:II~ask    the request for its approval

The ids are stored, signed into links and named by people, so this grammar must not change.
"""

from dataclasses import dataclass, replace

ASK = "ask"
"""The derived step that asks for an approval."""
_DERIVED = "~"


@dataclass(frozen=True, slots=True)
class StepId:
    """The parts of a step's id. `instance` tells apart the occurrences of one step of a playbook."""

    case_id: str
    playbook: str
    step: str
    instance: str

    @classmethod
    def parse(cls, text: str) -> "StepId | None":
        """Return the id that a text spells, or None if it spells none."""
        # From the right: an offline history may name services with colons, and so do the ids of its incidents.
        parts = text.rsplit(":", 3)
        return cls(*parts) if len(parts) == 4 else None

    def __str__(self) -> str:
        return f"{self.case_id}:{self.playbook}:{self.step}:{self.instance}"

    @property
    def short(self) -> str:
        """Return the id within its case and playbook, as scenarios and messages name it: step/instance."""
        return f"{self.step}/{self.instance}"

    @property
    def parent(self) -> "StepId | None":
        """Return the id of the step from which this one is derived."""
        instance, is_derived, _ = self.instance.partition(_DERIVED)
        return replace(self, instance=instance) if is_derived else None

    @property
    def base(self) -> "StepId":
        """Return the parent's id, or this one if it is not derived."""
        return self.parent or self

    @property
    def round(self) -> int | None:
        """Return the round of an escalation, from 1; None for any other step."""
        numbers = self._round_and_tier()
        return numbers[0] if numbers else None

    @property
    def tier(self) -> int | None:
        """Return the tier of an escalation, 0 for the step's own audience; None for any other step."""
        numbers = self._round_and_tier()
        return numbers[1] if numbers else None

    def derived(self, name: str) -> "StepId":
        """Return the id of a step that is derived from this one."""
        return replace(self, instance=derived_name(self.instance, name))

    def _round_and_tier(self) -> tuple[int, int] | None:
        escalation_round, _, tier = self.instance.partition(_DERIVED)[2].partition(".")
        return (int(escalation_round), int(tier)) if escalation_round.isdecimal() and tier.isdecimal() else None


def derived_name(base: str, name: str) -> str:
    """Return the id (or instance) of a step that is derived from one with the id (or instance) `base`."""
    return f"{base}{_DERIVED}{name}"


def concerns_step(named: str, step_id: str) -> bool:
    """Return whether a person who named a step meant this one: the step itself, or one derived from it."""
    return named == step_id or named.startswith(step_id + _DERIVED)


def is_derived(name: str) -> bool:
    """Return whether an id, an instance or a short name is that of a derived step."""
    return _DERIVED in name


def has_short_name(short: str, step: str, instance: str) -> bool:
    """Return whether a short name, `page` or `page/II`, means an instance of a step."""
    named_step, _, named_instance = short.partition("/")
    return named_step == step and named_instance in ("", instance)


def number_in_series(instance: str, series: str) -> int | None:
    """Return the number of an instance in a series: 3 for `progress.3` in `progress`. None if it is not of the series.

    The first instance of a repeated step has no number.
    """
    number = instance.removeprefix(f"{series}.")
    return int(number) if number.isdecimal() else None
