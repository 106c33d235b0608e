"""Messages cut into numbered parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_engine.delivery.channels.splitting import Measure, in_json, numbered, pieces_of, utf8

TEXTS = st.text(st.sampled_from('ab 三级\n\n"\\é🙂\t'), max_size=400)


@given(text=TEXTS, room=st.integers(20, 120), measure=st.sampled_from([utf8, in_json, len]))
def test_the_pieces_are_the_text_and_none_is_too_long(text: str, room: int, measure: Measure) -> None:
    pieces = list(pieces_of(text, room, measure))
    assert "".join(pieces) == text
    assert all(measure(piece) <= room for piece in pieces)


@given(text=TEXTS, room=st.integers(40, 120), locale=st.sampled_from(["en", "zh-CN"]))
def test_a_part_fits_with_its_mark(text: str, room: int, locale: str) -> None:
    parts = numbered(text, locale, room, utf8)
    assert "".join(piece for _, piece in parts) == text
    assert all(utf8(mark + piece) <= room for mark, piece in parts)


def test_lines_are_kept_whole_where_they_fit() -> None:
    assert list(pieces_of("one\ntwo\nthree\n", 8, len)) == ["one\ntwo\n", "three\n"]
    assert list(pieces_of("a\n0123456789\nb", 4, len)) == ["a\n", "0123", "4567", "89\nb"]


@pytest.mark.parametrize(("locale", "marks"), [("en", [" (1/2)", " (2/2)"]), ("zh-CN", ["（1/2）", "（2/2）"])])
def test_parts_are_numbered_in_the_readers_language(locale: str, marks: list[str]) -> None:
    assert [mark for mark, _ in numbered("x" * 60, locale, 50, len)] == marks


def test_what_fits_has_no_mark() -> None:
    assert numbered("short", "en", 50, len) == [("", "short")]
