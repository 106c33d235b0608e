"""Reports as HTML, DOCX and text: everything that is said is there, in both languages, and nothing of it is markup."""

import re
from dataclasses import replace
from io import BytesIO

import pytest
from docx import Document
from support.builders import CHINA, at, recorded
from support.reports import TWO_PROVINCES, report, wrote

from incident_engine.config.rulebook import SHIPPED
from incident_engine.documents.docx import report_docx
from incident_engine.documents.html import report_html
from incident_engine.documents.text import report_text
from incident_engine.documents.version_stamp import Stamp
from incident_engine.domain.reports.drafting import GAP, Report

NASTY = '<script>alert(1)</script> & "quoted" {{ 7 * 7 }}'
EVENTS = (
    *TWO_PROVINCES,
    recorded("note.added", "10:50", data={"text": NASTY}),
    wrote("11:25", "cbrc-formal-report", by="王敏 <b>", next_steps="第一行\nsecond line"),
)
LOCALES = pytest.mark.parametrize("locale", ["zh-CN", "en"])


def formal(locale: str) -> Report:
    found = report("cbrc-formal-report", "11:30", *EVENTS, locale=locale)
    # Events refuse control characters now; a report that was stored before may have one.
    sections = (
        replace(section, fields=tuple(replace(f, written=f.written and f"{f.written} \x08") for f in section.fields))
        for section in found.sections
    )
    return replace(found, sections=tuple(sections))


def stamp(found: Report, version: int = 3, state: str = "draft") -> Stamp:
    return Stamp(version, state, "陈总", at("12:00"), "0123456789abcdef" * 4, len(found.gaps), CHINA)


@LOCALES
def test_the_page_has_every_field_its_gaps_and_its_version(locale: str) -> None:
    found = formal(locale)
    page = report_html(found, stamp(found))
    assert f'<html lang="{locale}">' in page
    for field in found.fields:
        assert field.label in page
    assert page.count(GAP[locale]) == len(found.gaps) == 2
    assert page.count('class="text gap"') == 2
    footer = page.partition("<footer>")[2]
    for part in ("3", "陈总", "2013-06-23 12:00", "0123456789abcdef"):
        assert part in footer
    assert "@page" in page
    assert "A4" in page


@LOCALES
def test_what_people_wrote_is_text_and_never_markup(locale: str) -> None:
    found = formal(locale)
    page = report_html(found, stamp(found))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in page
    assert "{{ 7 * 7 }}" in page
    assert "王敏 &lt;b&gt;" in page


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = report_html(formal("en"), stamp(formal("en")))
    assert not re.search(r"https?://|@import|url\(|<script|<img", page)


@LOCALES
def test_the_docx_has_every_field_in_its_language(locale: str) -> None:
    found = formal(locale)
    document = Document(BytesIO(report_docx(found, stamp(found))))
    read = {
        row.cells[0].paragraphs[0].text: "\n".join(p.text for p in row.cells[1].paragraphs)
        for table in document.tables
        for row in table.rows
    }
    for field in found.fields:
        expected = field.text.replace("\x08", "").strip() or (GAP[locale] if field.is_gap else "—")
        assert read[field.label].startswith(expected), field.id
    assert "王敏 <b>" in read[next(field.label for field in found.fields if field.id == "next-steps")]
    assert [p.text for p in document.paragraphs if p.style and p.style.name == "Title"] == [found.title]
    headings = [p.text for p in document.paragraphs if p.style and p.style.name == "Heading 1"]
    assert headings == [section.title for section in found.sections]
    assert found.incident in document.sections[0].header.paragraphs[0].text
    assert "0123456789abcdef" in document.sections[0].footer.paragraphs[0].text


@LOCALES
def test_the_docx_is_marked_with_its_language_version_and_a_font_for_chinese(locale: str) -> None:
    found = formal(locale)
    document = Document(BytesIO(report_docx(found, stamp(found))))
    core = document.core_properties
    assert (core.language, core.title, core.version) == (locale, found.title, "3")
    assert core.comments == "0123456789abcdef" * 4
    for name in ("Normal", "Title", "Heading 1"):
        fonts = document.styles[name].element.rPr.rFonts
        assert fonts.get("{http://schemas.openxmlformats.org/wordprocessingml/2006/main}eastAsia") == "Microsoft YaHei"


@LOCALES
def test_the_text_has_every_field(locale: str) -> None:
    found = formal(locale)
    said = report_text(found, stamp(found))
    for field in found.fields:
        assert field.label in said
        for line in field.text.splitlines():
            assert line.strip() in said
    assert said.count(GAP[locale]) == 2


def test_what_is_not_kept_says_so() -> None:
    found = formal("en")
    assert "not stored" in report_text(found, stamp(found, version=0))
    assert "未存档" in stamp(found, version=0).line("zh-CN")


FINAL = pytest.mark.parametrize("state", ["approved", "submitted"])


def words_of(docx: bytes) -> str:
    document = Document(BytesIO(docx))
    cells = (cell for table in document.tables for row in table.rows for cell in row.cells)
    paragraphs = [*document.paragraphs, *(paragraph for cell in cells for paragraph in cell.paragraphs)]
    return "\n".join(paragraph.text for paragraph in paragraphs)


@LOCALES
@FINAL
def test_what_goes_to_the_regulator_has_no_marks_for_its_authors(locale: str, state: str) -> None:
    found = formal(locale)
    final, docx = stamp(found, state=state), report_docx(found, stamp(found, state=state))
    page = report_html(found, final)
    for text in (page.partition("<main>")[2], words_of(docx)):
        for mark in (GAP[locale], "王敏", "填写", "to fill in", 'class="text gap"', 'class="warning"'):
            assert mark not in text
    assert [
        run.font.color.rgb for p in Document(BytesIO(docx)).paragraphs for run in p.runs if run.font.color.rgb
    ] == []
    assert "陈总" not in page
    assert "0123456789abcdef" in final.footer(locale)


@pytest.mark.parametrize(
    ("locale", "lines"),
    [
        ("zh-CN", ("报告单位（盖章）：", "签发人：", "联系人及电话：", "报告日期：　　　　年　　月　　日")),
        ("en", ("Reporting unit (seal): ", "Signed by: ", "Contact: ", "Date: ")),
    ],
)
def test_a_document_has_places_for_seal_signatory_contact_and_date(locale: str, lines: tuple[str, ...]) -> None:
    found = formal(locale)
    for text in (report_html(found, stamp(found)), words_of(report_docx(found, stamp(found)))):
        assert [line for line in lines if line not in text] == []


@FINAL
def test_a_docx_ends_with_text_so_that_no_empty_page_follows(state: str) -> None:
    found = formal("zh-CN")
    last = Document(BytesIO(report_docx(found, stamp(found, state=state)))).paragraphs[-1]
    assert last.text.strip()


HALF_WIDTH = re.compile(r"[\u4e00-\u9fff](?:[,;:()!?]|\.(?!\w))|[,;:()!?][\u4e00-\u9fff]")


@pytest.mark.parametrize("name", sorted(path.stem for path in (SHIPPED / "rules" / "reports").glob("*.yaml")))
def test_a_chinese_document_has_full_width_punctuation(name: str) -> None:
    found = report(name, "11:30", *TWO_PROVINCES, locale="zh-CN")
    for state in ("draft", "approved"):
        words = words_of(report_docx(found, stamp(found, state=state)))
        assert HALF_WIDTH.findall(words) == [], words
