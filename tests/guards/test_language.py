"""Docstrings and comments of the package are in plain English: verbs and named things, no riddles."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from structure import ROOT, Source, count_what, count_words, read_sources, what_per_1000_words

MOST_WHAT = 2.0
"""How often 1,000 docstring words may say "what"."""

PRIVATE_PHRASES = ("anew", "so many", "so much", "whoever", "lazily", "so-manieth", "what is told")
"""Signs of the old private voice."""

_PRIVATE = re.compile(rf"\b({'|'.join(phrase.replace(' ', chr(92) + 's+') for phrase in PRIVATE_PHRASES)})\b", re.I)


def find_phrases(source: Source) -> Iterator[str]:
    """Yield `file:line: phrase` for each private phrase in a docstring or comment."""
    for start, text in sorted([*source.docstrings, *source.comments()]):
        for match in _PRIVATE.finditer(text):
            line = start + text.count("\n", 0, match.start())
            phrase = " ".join(match.group().lower().split())
            yield f"{_name(source.path)}:{line}: {phrase!r} is no plain English; name the thing or the number"


def worst_docstrings(sources: Sequence[Source]) -> Iterator[str]:
    """Yield `file:line: count of words` for each docstring that says "what", those that say it most often first."""
    docstrings = [(source.path, *docstring) for source in sources for docstring in source.docstrings]
    guilty = [(count_what(text), count_words(text), path, line) for path, line, text in docstrings if count_what(text)]
    for count, words, path, line in sorted(guilty, key=lambda one: (-one[0], one[1], one[2], one[3])):
        yield f'{_name(path)}:{line}: {count} "what" in {words} words'


def what_rate(sources: Sequence[Source]) -> float:
    """Return how often 1,000 docstring words of the sources say "what"."""
    return what_per_1000_words(docstring.text for source in sources for docstring in source.docstrings)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def source_of(text: str) -> Source:
    return Source(Path("sample.py"), text)


@pytest.fixture(scope="module")
def package() -> list[Source]:
    return read_sources(ROOT)


def test_docstrings_name_things_instead_of_saying_what(package: list[Source]) -> None:
    rate = what_rate(package)
    worst = list(worst_docstrings(package))
    if rate > MOST_WHAT:
        pytest.fail(
            f'{rate:.1f} "what" per 1,000 docstring words, at most {MOST_WHAT:g}; write an imperative verb and a named '
            f"thing. {len(worst)} docstrings, the worst:\n" + "\n".join(worst[:40]),
            pytrace=False,
        )


def test_docstrings_and_comments_have_no_private_phrases(package: list[Source]) -> None:
    findings = [finding for source in package for finding in find_phrases(source)]
    if findings:
        pytest.fail(f"{len(findings)} private phrases:\n" + "\n".join(findings), pytrace=False)


def test_a_private_phrase_is_found_with_its_line_in_docstrings_field_strings_and_comments() -> None:
    source = source_of(
        '"""Do it.\n\nWhoever asks is answered."""\n'
        "class Timer:\n"
        "    after: int  # begun anew\n"
        '    """So\n    many seconds."""\n'
    )
    places = [finding.split(" is no")[0] for finding in find_phrases(source)]
    assert places == ["sample.py:3: 'whoever'", "sample.py:5: 'anew'", "sample.py:6: 'so many'"]


def test_plain_english_and_strings_that_are_no_docstrings_pass() -> None:
    source = source_of('"""Withdraw begun steps that are no longer planned."""\nTEXT = "so many of them, anew"\n')
    assert list(find_phrases(source)) == []


def test_part_of_a_longer_word_is_no_private_phrase() -> None:
    assert list(find_phrases(source_of('"""Renew a lease; the canew is a name."""'))) == []


def test_the_rate_counts_what_in_docstrings_and_in_strings_below_fields() -> None:
    source = source_of('"""Return what is due."""\nLIMIT = 3\n"""What may wait."""\n# what is in a comment\n')
    assert what_rate([source]) == pytest.approx(2 * 1000 / 7)


def test_whatever_and_code_do_not_count_as_what() -> None:
    assert what_rate([source_of('"""Whatever fails."""\nwhat = "what"\n')]) == 0


def test_no_docstring_at_all_has_a_rate_of_zero() -> None:
    assert what_rate([source_of("x = 1\n")]) == 0


def test_the_worst_docstring_comes_first_with_its_line() -> None:
    source = source_of('"""Say what."""\ndef f():\n    """Return what of what."""\n')
    assert list(worst_docstrings([source])) == [
        'sample.py:3: 2 "what" in 4 words',
        'sample.py:1: 1 "what" in 2 words',
    ]
