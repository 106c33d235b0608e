"""What a field of a report may name."""

from collections.abc import Mapping

REPORT_VARIABLES: Mapping[str, Mapping[str, str]] = {
    "bank": {"name": "the bank's name"},
    "unit": {
        "name": "the unit of the bank that reports",
        "is_branch": "whether it is a branch and not the head office",
        "addressee": "who gets this report",
        "reporter": "the name of the reporter that is filed with the regulator",
        "contact": "how to reach the reporter",
    },
    "pack": {"title": "the regulation's name", "source": "its number"},
    "incident": {
        "id": "the incident's id",
        "services": "names of the services hit",
        "regions": "names of the regions hit",
        "occurred_at": "when it began, or none",
        "detected_at": "when the first event reached us, or none",
        "restored_at": "when everything worked again, or none",
        "duration": "from the occurrence to the restoration; before it none (in a report of progress: so far)",
        "recovery_at": "the latest estimate of the recovery, or none",
        "has_outage": "whether anything is or was down",
        "is_down": "whether anything is down",
        "closed_at": "when it was closed, or none",
        "closed_by": "who closed it, or none",
    },
    "level": {
        "id": "the level, such as II",
        "name": "its name",
        "at": "when it was reached",
        "cite": "the clause",
        "says": "the clause in our words; of a corrected level who corrected it and why",
    },
    "classified": {"at": "when a level was first reached", "cite": "the clause", "says": "the clause in our words"},
    "provisional": {},
    "next": {
        "id": "the level after the present one",
        "name": "its name",
        "at": "when it will be reached if nothing new happens",
        "cite": "the clause",
        "says": "the clause in our words",
    },
    "impact": {},
    "course": {},
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
"""The variables of a report's fields: their parts and what these mean. `level`, `classified` and `next` may be none.

`provisional` says that the level rests on the worst credible case and nobody has confirmed it; `as_of` is the instant
of the latest fact. `measured` has each figure of the pack by its name, or none. The others are lists of objects:
`impact` (service, region, start, end, lasted, in_service), `course` and `measures` (at, text, by), `failures` and
`plan_failures` (at, by, reason), `harms` (at, kind, seriousness, cause, by, reason), `figures` (name, says, value,
unit, at, by), `root_causes` (at, text), `obligations` (id, says, cite, due_at, state, met_at, met_by, is_late,
missed), `lessons` (at, by, text, for_customers), `tasks` (title, owner, due_at, by, reason, done_at, done_by).
"""
