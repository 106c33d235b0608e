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
        ("[x](https://a.example)", "<p>[x](https://a.example)</p>\n"),
        ("![x](https://a.example/p.png)", "<p>![x](https://a.example/p.png)</p>\n"),
    ],
)
def test_a_text_is_shown_as_it_is_meant(text: str, html: str) -> None:
    assert as_html(text) == html
