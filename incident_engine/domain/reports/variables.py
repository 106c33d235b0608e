"""The variables of report fields, with the meaning of each."""

from collections.abc import Mapping

REPORT_VARIABLES: Mapping[str, Mapping[str, str]] = {
    "bank": {"name": "the bank's name"},
    "unit": {
        "name": "the unit of the bank that reports",
        "is_branch": "whether it is a branch and not the head office",
        "addressee": "the recipient of the report",
        "reporter": "the reporter filed with the regulator",
        "contact": "the reporter's telephone",
    },
    "pack": {"title": "the regulation's name", "source": "its number"},
    "incident": {
        "id": "the incident's id",
        "services": "names of the affected services",
        "regions": "names of the affected regions",
        "occurred_at": "the start of the first outage, or none",
        "detected_at": "the receipt of the first event, or none",
        "restored_at": "the restoration of all services, or none",
        "duration": "from the occurrence to the restoration; before it none (in a report of progress: so far)",
        "recovery_at": "the latest estimate of the recovery, or none",
        "has_outage": "whether any service is or was down",
        "is_down": "whether any service is down",
        "closed_at": "the closing of the incident, or none",
        "closed_by": "the person who closed it, or none",
    },
    "level": {
        "id": "the level, such as II",
        "name": "its name",
        "at": "the instant at which it was reached",
        "cite": "the clause",
        "says": "the clause in our words; of a corrected level 'person: reason'",
    },
    "classified": {
        "at": "the instant at which a level was first reached",
        "cite": "the clause",
        "says": "the clause in our words",
    },
    "provisional": {},
    "next": {
        "id": "the level after the present one",
        "name": "its name",
        "at": "the instant at which it will be reached if nothing new happens",
        "cite": "the clause",
        "says": "the clause in our words",
    },
    "impact": {},
    "timeline": {},
    "measures": {},
    "failures": {},
    "plan_failures": {},
    "harms": {},
    "figures": {},
    "measured": {},
    "root_causes": {},
    "obligations": {},
    "lessons": {},
    "tasks": {},
    "as_of": {},
}
"""The variables of report fields with their parts and the meaning of each.

`level`, `classified` and `next` may be none. `provisional`: the level rests on the worst credible case, and no person
has confirmed it. `as_of`: the instant of the latest fact. `measured`: each figure of the pack by its name, or none.

The others are lists of objects: `impact` (service, region, start, end, lasted, in_service), `timeline` and `measures`
(at, text, by), `failures` and `plan_failures` (at, by, reason), `harms` (at, kind, seriousness, cause, by, reason),
`figures` (name, says, value, unit, at, by), `root_causes` (at, text), `obligations` (id, says, cite, due_at, state,
met_at, met_by, is_late, missed), `lessons` (at, by, text, for_customers), `tasks` (title, owner, due_at, by, reason,
done_at, done_by).
"""
