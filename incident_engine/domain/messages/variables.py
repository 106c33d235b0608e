"""The variables of message templates, with the meaning of each."""

from collections.abc import Mapping

VARIABLES: Mapping[str, Mapping[str, str]] = {
    "bank": {
        "name": "the bank's name",
        "unit": "the unit that reports",
        "regulator": "the regulator of that unit",
        "reporter": "the reporter filed with the regulator, or none",
        "reporter_phone": "the reporter's telephone, or none",
        "hotline": "the customers' hotline, or none",
        "status_page": "the address of the status page, or none",
        "compensation": "the published standard of compensation, or none",
    },
    "incident": {
        "id": "the incident's id",
        "services": "names of the affected services",
        "regions": "names of the affected regions",
        "occurred_at": "the start of the first outage",
        "detected_at": "the receipt of the first event",
        "restored_at": "the restoration of all services, or none",
        "duration": "the length from the occurrence to the restoration or now",
        "recovery_at": "the latest estimate of the recovery, or none",
        "previous_recovery_at": "the estimate before it, or none",
        "notes": "notes that people added, in order",
        "has_outage": "whether any service is or was down; if not, there is harm or a figure alone",
        "harms": "harms that people judged, each as 'person: reason', in order",
        "plan_failures": "plans or decisions that failed, each as 'person: reason', in order",
        "lessons": "lessons, in order",
        "customer_lessons": "lessons in the wording for customers, in order",
        "closed_at": "the closing of the incident, or none",
    },
    "level": {
        "id": "the level, such as II",
        "name": "its name",
        "at": "the instant at which it was reached",
        "cite": "the clause",
        "says": "the clause in our words",
        "is_worst": "whether no level of the regulation is worse",
    },
    "current": {
        "id": "the level now, which may be worse than that of the step",
        "name": "its name",
        "at": "the instant at which it was reached",
        "cite": "the clause",
        "says": "the clause in our words",
        "is_worst": "whether no level of the regulation is worse",
    },
    "provisional": {},
    "correction": {
        "level": "the level that a person set, or none: below the lowest",
        "name": "its name",
        "at": "the instant from which it holds",
        "by": "the person",
        "reason": "the person's reason",
    },
    "next": {
        "id": "the level that the step announces, else the one after the present one",
        "name": "its name",
        "at": "the instant at which it will be reached",
        "cite": "the clause",
        "says": "the clause in our words",
        "is_worst": "whether no level of the regulation is worse",
    },
    "obligation": {
        "id": "the obligation",
        "says": "the duty in our words",
        "cite": "the clause",
        "due_at": "the deadline",
        "state": "pending, met, overdue, or not_applicable before its level is reached",
        "to": "the recipient",
    },
    "recipient": {"name": "the reader's name"},
    "step": {
        "id": "the step's id, for its acknowledgement, approval or completion",
        "level": "the level of the step, or none",
        "awaits": "the action that ends it: acknowledgement, completion or none",
    },
    "deadline": {},
    "next_update_at": {},
    "escalation": {
        "round": "the number of the round, from 1",
        "tier": "the tier that is notified: 0 is the audience itself",
        "since": "the instant from which an answer is awaited",
        "waited": "the length of time since then",
    },
    "drafts": {},
    "links": {
        "acknowledge": "the signed link to acknowledge",
        "approve": "the signed link to approve",
        "complete": "the signed link to report it done",
    },
    "task": {
        "title": "the task",
        "by": "the person who asks for it",
        "reason": "the person's reason",
        "due_at": "the deadline, or none",
    },
    "late": {
        "began_at": "the beginning of the outage as it was reported",
        "known_at": "the receipt of the report",
        "delay": "the length of time between them",
        "source": "the source of the event",
        "id": "the id of the event",
    },
    "handover": {"by": "the person who assigned the step", "reason": "the person's reason", "at": "the instant"},
    "report": {
        "id": "the report",
        "title": "its title",
        "gaps": "the number of required fields that are empty",
        "url": "its address, or none",
    },
    "drill": {},
    "now": {},
}
"""The variables of a template with their parts and the meaning of each.

`next`, `correction`, `obligation`, `deadline`, `next_update_at`, `escalation`, `links`, `task`, `late`, `handover` and
`report` may be none. `provisional`: the level rests on the worst credible case, and no person has confirmed it.
`drill`: the incident is an exercise. `drafts`: the texts that wait for an approval, each with locale, subject and body.
"""
