"""Messages as HTML: what is bold, and what cannot become a tag, a link or a picture."""

import pytest

from incident_engine.common.markdown import as_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**我们向您道歉。**您在", "<p><strong>我们向您道歉</strong>。您在</p>\n"),
        ("于**2026年（周一）**前", "<p>于<strong>2026年（周一</strong>）前</p>\n"),
        ("**一。** 二", "<p><strong>一。</strong> 二</p>\n"),
        ("**一。**", "<p><strong>一。</strong></p>\n"),
        ("**一**，**二。**三", "<p><strong>一</strong>，<strong>二</strong>。三</p>\n"),
        ("2 ** 3，**一。**二", "<p>2 ** 3，**一。**二</p>\n"),
        ("**bold.** More", "<p><strong>bold.</strong> More</p>\n"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("ftp://a.example/_x_", "<p>ftp://a.example/<em>x</em></p>\n"),
        ("xhttps://a.example", "<p>xhttps://a.example</p>\n"),
        ("https://bank.example@evil.example/", "<p>https://bank.example@evil.example/</p>\n"),
        ("https://bank.example:x@evil.example/", "<p>https://bank.example:x@evil.example/</p>\n"),
        ("`https://a.example`", "<p><code>https://a.example</code></p>\n"),
    ],
)
def test_a_text_is_shown_as_it_is_meant(text: str, html: str) -> None:
    assert as_html(text) == html


def link(address: str) -> str:
    return f'<a href="{address}" rel="noreferrer nofollow">{address}</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("https://a.example/l/_x_", link("https://a.example/l/_x_")),
        ("**https://a.example/__x__**", f"<strong>{link('https://a.example/__x__')}</strong>"),
        ("见https://a.example/x。好", f"见{link('https://a.example/x')}。好"),
        ("(http://a.example:80/x?y=_1_).", f"({link('http://a.example:80/x?y=_1_')})."),
        ("https://a.example/x_(y), z", f"{link('https://a.example/x_(y)')}, z"),
        ("[x](https://a.example)", f"[x]({link('https://a.example')})"),
        ("![x](https://a.example/p.png)", f"![x]({link('https://a.example/p.png')})"),
        ("<https://a.example/>", f"&lt;{link('https://a.example/')}&gt;"),
    ],
)
def test_a_bare_address_is_a_link_that_shows_where_it_leads(text: str, html: str) -> None:
    assert as_html(text) == f"<p>{html}</p>\n"


def test_an_address_with_an_ampersand_is_escaped_once() -> None:
    escaped = "https://a.example/?x=1&amp;y=_2_"
    assert as_html("https://a.example/?x=1&y=_2_") == f"<p>{link(escaped)}</p>\n"
