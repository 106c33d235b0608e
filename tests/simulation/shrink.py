"""From a script that breaks an invariant to a short one that breaks the same."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from simulation.play import Result, play
from simulation.script import Act, Script, Story

ATTEMPTS = 80
"""How many scripts are tried at most."""


def shortest(result: Result, *, share: float, attempts: int = ATTEMPTS) -> Result:
    """Return the result of the shortest script found that breaks the same invariant: without stories, then acts."""
    if result.violation is None:
        return result
    left = attempts
    best = result
    is_done = False
    while not is_done:
        is_done = True
        for script in _shorter(best.script):
            if left == 0:
                return best
            left -= 1
            found = play(script, share=share)
            if found.violation is not None and found.violation.invariant == result.violation.invariant:
                best, is_done = found, False
                break
    return best


def _shorter(script: Script) -> Iterator[Script]:
    """Yield scripts in which less happens: fewer stories, or fewer acts of one."""
    for stories in _parts(script.stories):
        yield replace(script, stories=tuple(stories))
    for place, story in enumerate(script.stories):
        for acts in _fewer(story.acts):
            shorter = Story(story.name, tuple(acts))
            yield replace(script, stories=(*script.stories[:place], shorter, *script.stories[place + 1 :]))


def _parts(stories: Sequence[Story]) -> Iterator[Sequence[Story]]:
    half = len(stories) // 2
    if half > 1:
        yield from (stories[half:], stories[:half])
    if len(stories) > 1:
        yield from ((*stories[:place], *stories[place + 1 :]) for place in range(len(stories)))


def _fewer(acts: Sequence[Act]) -> Iterator[Sequence[Act]]:
    half = len(acts) // 2
    if half > 1:
        yield from (acts[half:], acts[:half])
    if len(acts) > 1:
        yield from ((*acts[:place], *acts[place + 1 :]) for place in reversed(range(len(acts))))
