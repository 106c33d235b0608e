"""Write an explanation as an indented tree for a terminal, from the clause of the law down to the minutes counted."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

from incident_engine.common.i18n import Translator
from incident_engine.domain.grading.conditions import Condition
from incident_engine.domain.grading.explanation import ExplainedCondition, ExplainedRegion, ExplainedRule
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.messages.formatting import format_duration, format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import NEVER, LocalizedText, format_cite

_INDENT = "  "


class Explainer:
    """Writes explanations in one language, with the names of one bank's services."""

    def __init__(self, pack: Pack, names: Mapping[str, LocalizedText], zone: tzinfo, translate: Translator) -> None:
        self._pack = pack
        self._names = names
        self._zone = zone
        self._translate = translate

    def lines(self, rules: Sequence[ExplainedRule], now: datetime) -> Iterator[str]:
        """Yield the tree of each rule, the earliest reached first, and the pack's interpretation."""
        translate, locale = self._translate, self._translate.locale
        for explained in sorted(rules, key=lambda explained: explained.at):
            rule, state = explained.rule, self._when(explained.at, now)
            name = self._pack.level_names[rule.level].in_(locale)
            yield f"{format_cite(rule.cite, locale)} ({rule.id}): {rule.level} {name}: {state}"
            yield _INDENT + rule.says.in_(locale)
            if explained.at != NEVER or explained.when.regions:
                yield from (_INDENT + line for line in self._condition(explained.when, now))
        yield f"{translate('interpretation')}: " + "; ".join(
            f"{translate(name)} = {translate(getattr(self._pack.interpretation, name).value)}"
            for name in type(self._pack.interpretation).model_fields
        )

    def _when(self, at: datetime, now: datetime) -> str:
        if at == NEVER:
            return self._translate("not reached")
        return f"{self._translate('reached') if at <= now else self._translate('will be reached')} {self._instant(at)}"

    def _condition(self, condition: ExplainedCondition, now: datetime) -> Iterator[str]:
        yield f"{self._limit(condition)} → {self._when(condition.at, now)}"
        if condition.forecast_point is not None:
            moment = condition.forecast_point
            expected = self._instant(moment.recovery_at) if moment.recovery_at else self._translate("unknown recovery")
            unrepaired = f"{self._translate('unrepaired outside hours')} {self._instant(moment.at)}"
            yield f"{_INDENT}{unrepaired}; {self._translate('recovery expected')}: {expected}"
        for part in condition.parts:
            # A forecast supposes that its future has come: its parts are "reached", none "will be reached".
            inner = NEVER if condition.forecast_point is not None else now
            yield from (_INDENT + line for line in self._condition(part, inner))
        for region in sorted(condition.regions, key=lambda region: (region.at, region.region)):
            yield from (_INDENT + line for line in self._region(region, now))
        for harm in condition.harms:
            judged = harm.data
            terms = ", ".join(self._translate(term.value) for term in (judged.kind, judged.seriousness, judged.cause))
            yield f"{_INDENT}{self._instant(harm.occurred_at)}  {terms}: {judged.by}: {judged.reason}"
        for measured in condition.measurements:
            yield f"{_INDENT}{self._instant(measured.at)}  {measured.name} = {measured.value} ({measured.by})"

    def _limit(self, condition: ExplainedCondition) -> str:
        limit = Condition.model_validate({condition.kind: condition.limit}) if not condition.parts else None
        translate = self._translate
        if limit is None or limit.forecast is not None:
            count = f" {condition.limit['at_least']}" if "at_least" in condition.limit else ""
            return translate(condition.kind) + count
        if limit.regions_down is not None:
            regions = f"{translate('at least')} {limit.regions_down.least} {translate('regions each')}"
            return f"{regions} {self._bound(condition.limit['for'])}"
        if limit.outage is not None:
            return f"{translate('outage anywhere')} {self._bound(condition.limit['for'])}"
        if limit.harm is not None:
            kinds = format_names([translate(kind.value) for kind in limit.harm.kinds], translate.locale)
            return f"{translate('harm')}: {kinds}, {translate('at least')} {translate(limit.harm.at_least.value)}"
        if limit.measured is not None:
            bounds = {key: value for key, value in condition.limit.items() if key != "name"}
            name = self._pack.measures[limit.measured.name].says.in_(translate.locale)
            return f"{name} {self._bound(bounds)}"
        bounds = {key: value for key, value in condition.limit.items() if key != "among"}
        return f"{translate('countries_hit')}: {self._bound(bounds)}"

    def _bound(self, limit: Mapping[str, object]) -> str:
        word, value = next((word, value) for word, value in limit.items() if value is not None)
        if isinstance(value, bool):
            return f"= {self._translate('yes' if value else 'no')}"
        return f"{self._translate(word.replace('_', ' '))} {value}"

    def _region(self, region: ExplainedRegion, now: datetime) -> Iterator[str]:
        name, translate = region_name(region.region, self._translate.locale), self._translate
        total = self._length(region.total)
        yield f"{name}: {translate('total')} {total}; {self._when(region.at, now)}"
        for service, interval in region.reported:
            ended = f", {translate('ended by')} {'/'.join(interval.ended_by)}" if interval.ended_by else ""
            sources = f"{translate('started by')} {'/'.join(interval.begun_by)}{ended}"
            span = self._span(interval.start, interval.end)
            yield f"{_INDENT}{self._service(service)} {translate(interval.impairment.value)} {span} ({sources})"
        for service, start, end in region.maintenance:
            window = f"{translate('maintenance')} {self._span(start, end)}"
            yield f"{_INDENT}{self._service(service)} {window}: {translate('not counted')}"
        sums = [f"{self._span(start, end)} = {self._length(end - start)}" for start, end in region.counted]
        yield f"{_INDENT}{translate('counted')}: {' + '.join(sums) or '0'}"

    def _service(self, service: str) -> str:
        return self._names[service].in_(self._translate.locale) if service in self._names else service

    def _span(self, start: datetime, end: datetime) -> str:
        if end == NEVER:
            return f"{self._instant(start)} – …"
        same_day = start.astimezone(self._zone).date() == end.astimezone(self._zone).date()
        return f"{self._instant(start)} – {self._instant(end)[11:] if same_day else self._instant(end)}"

    def _length(self, length: timedelta) -> str:
        seconds = length.total_seconds()
        if seconds == int(seconds) and seconds % 60 == 0:
            return format_duration(length, self._translate.locale)
        return f"{length}"  # seconds may decide between two levels, and format_duration drops them

    def _instant(self, at: datetime) -> str:
        local = at.astimezone(self._zone)
        if local.microsecond:  # a level that is reached "after more than 3h" starts a microsecond later
            return local.strftime("%Y-%m-%d %H:%M:%S.%f")
        return local.strftime("%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M")
