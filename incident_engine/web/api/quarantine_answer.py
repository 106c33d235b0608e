"""A person's answer to a quarantined report, as requests bring it."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.validation import Strict, invalid, problems_of
from incident_engine.config.settings import Settings
from incident_engine.domain.events.fields import EVERYWHERE, KNOWN_SERVICES, PersonName, Regions, Service, Text
from incident_engine.domain.events.reserved import reserved_person


class QuarantineAnswer(Strict):
    """A person's answer to a quarantined report: its service and regions, or the reason to set it aside."""

    by: PersonName
    """The person's name."""
    action: Literal["map", "dismiss"] | None = None
    """Default: `map` if a service or regions are given, else `dismiss`. `map` without them replays the report as it is,
    such as an event at which the engine failed, or an alert from ahead of the clock."""
    service: Service | None = None
    """The service that is down. Default: the report's own."""
    regions: Annotated[Regions, Field(min_length=1)] | None = None
    """The regions in which it is down. Default: the report's own."""
    reason: Text | None = None
    """For the record; a dismissal needs one."""

    @property
    def is_mapping(self) -> bool:
        """Return whether the report is to become events."""
        return self.action == "map" or (self.action is None and (self.service is not None or self.regions is not None))

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.action == "dismiss" and (self.service is not None or self.regions is not None):
            raise invalid("a dismissal names no service and no regions", "only by and reason, or action: map")
        if not self.is_mapping and self.reason is None:
            raise invalid("neither a mapping nor a dismissal", "service and regions, or a reason to dismiss the report")
        return self


def validated_answer(body: dict[str, Any], settings: Settings) -> QuarantineAnswer:
    """Return the answer of a request's body. Raises InvalidDocumentError with every problem."""
    names = {KNOWN_SERVICES: settings.service_names, EVERYWHERE: settings.regions.everywhere}
    try:
        answer = QuarantineAnswer.model_validate(body, context=names)
    except ValidationError as error:
        raise InvalidDocumentError(problems_of(error, QuarantineAnswer, body)) from None
    reserved = list(reserved_person(answer))
    if reserved:
        raise InvalidDocumentError(reserved)
    return answer
