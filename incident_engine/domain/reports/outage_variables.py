"""The variables of a report's outages in one language: the incident as a whole, and each service with its regions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.incidents.incident import Incident, segments_of
from incident_engine.domain.messages.formatting import format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import NEVER, LocalizedText


@dataclass(frozen=True, slots=True)
class OutageVariables:
    """Builds the variables of an incident's outages."""

    incident: Incident
    assessment: Assessment
    service_names: Mapping[str, LocalizedText]
    locale: str
    latest: datetime | None
    """The latest fact, up to which an outage that lasts is counted in a report of progress; None in other reports."""

    def incident_variables(self) -> dict[str, Any]:
        """Return the variables of the incident as a whole: services, regions, instants and length."""
        incident = self.incident
        harms = incident.events(HarmAssessed)
        services = set(incident.services) or {harm.service for harm in harms if harm.service is not None}
        regions = set(incident.regions) or {region for harm in harms for region in harm.regions}
        return {
            "id": incident.id,
            "services": [self._service(service) for service in sorted(services)],
            "regions": [region_name(region, self.locale) for region in sorted(regions)],
            "occurred_at": incident.occurred_at,
            "detected_at": incident.detected_at,
            "restored_at": incident.restored_at,
            "duration": self._length(incident.occurred_at, incident.restored_at),
            "recovery_at": incident.recovery_at,
            "has_outage": bool(incident.outages),
            "is_down": incident.is_down,
            "closed_at": incident.closing.at if incident.closing else None,
            "closed_by": incident.closing.by if incident.closing else None,
        }

    def _length(self, start: datetime | None, end: datetime | None) -> timedelta | None:
        """Return the length of an outage. While it lasts: up to the latest fact, None without one."""
        if end is None:  # not up to now: the draft would change every second
            end = self.latest
        return None if start is None or end is None else max(end - start, timedelta(0))

    def _service(self, service: str) -> str:
        name = self.service_names.get(service)
        return name.in_(self.locale) if name else service

    def impact(self) -> Iterator[dict[str, Any]]:
        """Yield the outage of each service; regions with the same times share an entry."""
        regions_by_times: dict[tuple[object, ...], list[str]] = defaultdict(list)
        in_service = {region.region: region.in_service for region in self.assessment.evidence.regions}
        # Of several services in a region the evidence has one total, which belongs to none of them alone.
        alone = {region.region for region in self.assessment.evidence.regions if len(region.services) == 1}
        outages = sorted(self.incident.outages, key=lambda outage: (outage.intervals[0].start, outage.region))
        for outage in outages:
            segments = segments_of([outage])
            end = None if segments[-1][1] == NEVER else segments[-1][1]
            lengths = [self._length(start, None if until == NEVER else until) for start, until in segments]
            lasted = None if None in lengths else sum((length for length in lengths if length), timedelta(0))
            served = in_service.get(outage.region) if end is not None and outage.region in alone else None
            times = self._service(outage.service), segments[0][0], end, lasted, served
            regions_by_times[times].append(region_name(outage.region, self.locale))
        names = "service", "start", "end", "lasted", "in_service"
        for values, regions in regions_by_times.items():
            yield {**dict(zip(names, values, strict=True)), "region": format_names(regions, self.locale)}
