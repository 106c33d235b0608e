"""Write a report as a DOCX file, which people edit and sign."""

from io import BytesIO

from docx import Document
from docx.document import Document as DocumentObject
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from docx.table import _Cell
from docx.text.run import Run

from incident_engine.common.i18n import Translator
from incident_engine.documents.version_stamp import Stamp, headings, signature_lines, written_by
from incident_engine.domain.reports.drafting import Report

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_LATIN, _CHINESE = "Arial", "Microsoft YaHei"  # without a named Chinese font, Word picks one that differs by machine
_GAP, _GREY = RGBColor(0xB3, 0x26, 0x1E), RGBColor(0x44, 0x44, 0x44)
_WIDTHS = Cm(5), Cm(12)
_STYLES = ("Normal", "Title", "Heading 1", "Header", "Footer")


def report_docx(report: Report, stamp: Stamp) -> bytes:
    """Return a report as the content of a DOCX file: one table per section, the version in the footer."""
    translate, document = Translator(report.locale), Document()
    _set_up(document, report, stamp)
    document.add_heading(report.title, level=0).alignment = WD_ALIGN_PARAGRAPH.CENTER
    document.add_paragraph(f"{report.source} {report.cite}".strip()).alignment = WD_ALIGN_PARAGRAPH.CENTER
    _table(document, [(translate(name), "", value) for name, value in headings(report)])
    if stamp.gaps and not stamp.is_final:
        _write(document.add_paragraph().add_run(stamp.gap_line(report.locale)), is_gap=True)
    for section in report.sections:
        document.add_heading(section.title, level=1)
        rows = [(field.label, field.cite, stamp.shown(field, report.locale)) for field in section.fields]
        table = _table(document, rows)
        for (_, text), field in zip(table, section.fields, strict=True):
            if stamp.is_final:
                continue
            for run in text.paragraphs[0].runs if field.is_gap else ():
                _write(run, is_gap=True)
            if field.by:
                _write(text.add_paragraph().add_run(written_by(field, report.locale)), is_gap=False)
    # The last section stays with the signature: a seal on a page without text proves nothing.
    for paragraph in (paragraph for cells in table for cell in cells for paragraph in cell.paragraphs):
        paragraph.paragraph_format.keep_with_next = True
    for line in signature_lines(report):
        # Word wants a paragraph after a table; an empty one could fall onto a page of its own.
        paragraph = document.add_paragraph(line)
        paragraph.paragraph_format.left_indent = Cm(8.5)
        paragraph.paragraph_format.space_before = Pt(10)
        paragraph.paragraph_format.space_after = Pt(0)
        paragraph.paragraph_format.keep_with_next = True
    content = BytesIO()
    document.save(content)
    return content.getvalue()


def _set_up(document: DocumentObject, report: Report, stamp: Stamp) -> None:
    for name in _STYLES:
        style = document.styles[name]
        style.font.name = _LATIN
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for script, font in (("w:ascii", _LATIN), ("w:hAnsi", _LATIN), ("w:cs", _LATIN), ("w:eastAsia", _CHINESE)):
            fonts.set(qn(script), font)
        for theme in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
            fonts.attrib.pop(qn(theme), None)  # Word prefers a theme's font to the named ones
    document.styles["Normal"].font.size = Pt(10.5)
    document.styles["Title"].font.size = Pt(18)
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2)
    section.header.paragraphs[0].text = f"{report.bank} · {report.incident}"
    section.footer.paragraphs[0].text = stamp.footer(report.locale)
    core = document.core_properties
    core.title, core.author, core.language = report.title, report.unit, report.locale
    core.comments, core.created, core.modified = stamp.content_hash, stamp.at, stamp.at
    core.last_modified_by, core.version = stamp.by or report.unit, str(stamp.version)


def _table(document: DocumentObject, rows: list[tuple[str, str, str]]) -> list[tuple[_Cell, _Cell]]:
    """Add a table of (label, article, text) rows; return the cells of each row."""
    table = document.add_table(rows=len(rows), cols=2, style="Table Grid")
    table.autofit = False
    cells = []
    for row, (label, cite, text) in zip(table.rows, rows, strict=True):
        left, right = row.cells
        left.width, right.width = _WIDTHS  # Word takes the widths of cells and ignores those of columns
        left.paragraphs[0].add_run(label).bold = True
        if cite:
            _write(left.add_paragraph().add_run(cite), is_gap=False)
        first, *others = text.splitlines() or [""]
        right.paragraphs[0].add_run(_printable(first))
        for line in others:
            right.add_paragraph(_printable(line))
        cells.append((left, right))
    return cells


def _write(run: Run, *, is_gap: bool) -> None:
    """Format a run: bold red for a gap, small grey for an article or a name."""
    run.font.color.rgb = _GAP if is_gap else _GREY
    run.font.bold = is_gap
    run.font.size = None if is_gap else Pt(9)


def _printable(text: str) -> str:
    """Return a text without the characters that XML 1.0 forbids; they would make the file unreadable."""
    return "".join(char for char in text if char.isprintable() or char in "\t\u3000\u00a0")
