"""Draw the pictures of README.md and README.zh-CN.md from the output of a drill.

    drill="incident-engine drill two-provinces --speed max"
    $drill --lang en | python docs/demo_picture.py en > docs/demo.en.svg
    $drill --lang zh-CN | python docs/demo_picture.py zh-CN > docs/demo.zh-CN.svg

Every line is a line of the output without its date. Most notices are left out, and long lines end with "…".
"""

import re
import sys
import unicodedata
from xml.sax.saxutils import escape

TITLES = {
    "en": "make demo SPEED=max   (shortened: two of the readers)",
    "zh-CN": "make demo SPEED=max （有删节：仅列两类读者的通知）",
}
READERS = {"en": ("duty-engineer", "customers-en"), "zh-CN": ("duty-officer", "customers-zh")}
"""Of the notices, those to these readers are drawn: one language a picture."""
COLOURS = {"▲": "#ffb454", "✉": "#7cc7ff", "✔": "#8fd694", "·": "#c9d1d9"}
WIDTH, LINE, COLUMNS = 1080, 25, 102
LEFT_OUT = re.compile(
    r"note added|  记录  |report written|报告已填写|page-|partners-notice|important-customers|lesson|教训"
)


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def shortened(text: str) -> str:
    """Return a text that fits into the picture."""
    if cells(text) <= COLUMNS:
        return text
    while cells(text) > COLUMNS - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def chosen(lines: list[str], language: str) -> list[tuple[str, str, str]]:
    """Return time, mark and text of the lines to be drawn."""
    rows: list[tuple[str, str, str]] = []
    for line in lines:
        match = re.match(r"\d{4}-\d\d-\d\d (\d\d:\d\d):\d\d  (\S)  (.*)", line)
        if match is None or LEFT_OUT.search(line):
            continue
        time, mark, text = match.groups()
        if mark == "✉" and (not any(reader in text for reader in READERS[language]) or time in {"11:25", "13:50"}):
            continue
        rows.append((time, mark, text))
    return rows


def main() -> None:
    """Read the drill's output and print the picture."""
    language = sys.argv[1]
    rows = chosen(sys.stdin.read().splitlines(), language)
    height = 62 + LINE * len(rows)
    sys.stdout.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        "font-family=\"ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', "
        f'\'WenQuanYi Micro Hei\', monospace" font-size="15">\n<title>{escape(TITLES[language])}</title>\n'
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#0f1720" stroke="#3b4754"/>\n'
        f'<text x="24" y="32" fill="#8b98a5">{escape(TITLES[language])}</text>\n'
    )
    for number, (time, mark, text) in enumerate(rows):
        y = 66 + LINE * number
        weight = ' font-weight="700"' if mark == "▲" else ""
        sys.stdout.write(
            f'<text y="{y}" fill="{COLOURS[mark]}"{weight}><tspan x="24" fill="#8b98a5">{time}</tspan>'
            f'<tspan x="84">{mark}</tspan><tspan x="108">{escape(shortened(text))}</tspan></text>\n'
        )
    sys.stdout.write("</svg>\n")


if __name__ == "__main__":
    main()
