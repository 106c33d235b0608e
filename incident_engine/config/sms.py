"""The settings of an SMS gateway: templates of its requests, and the meaning of its answers."""

import json
import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from incident_engine.common.validation import Strict, invalid, unknown_name
from incident_engine.config.common import AnyChannelSettings, Form, Rate
from incident_engine.config.placeholders import Encode, fill, in_json, in_query, in_xml, placeholders, plainly
from incident_engine.config.secret import Secret
from incident_engine.domain.values import Duration, Identifier


def _as_list(value: object) -> object:
    # `true` is an int in Python, but no status.
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _as_texts(value: object) -> object:
    items = _as_list(value)
    return [str(item) if isinstance(item, int) else item for item in items] if isinstance(items, list) else items


Statuses = Annotated[tuple[Annotated[int, Field(ge=100, le=599)], ...], BeforeValidator(_as_list)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_as_texts)]


def _url_template(text: str) -> str:
    match = re.match(r"https?://([^\s/?#]+)([/?#]\S*)?$", text)
    # A value in the host name could send messages and secrets to a foreign server.
    if match is None or placeholders(match[1]):
        raise invalid("not the address of a gateway", "https:// and a host without placeholders")
    return text


class SmsSuccess(Strict):
    """The answer of a gateway that has accepted a message. All given conditions must hold."""

    status: Statuses = Field(default=(200,), min_length=1)
    """The HTTP status; any of several."""
    json_path: str | None = None
    """The place of the result in a JSON answer: keys and list indices joined by dots, such as data.0.code."""
    equals: Texts = ()
    """The value at json_path; any of several."""


class SmsCase(Strict):
    """One kind of answer: by its HTTP status, or by the value at success.json_path."""

    status: Statuses = ()
    """The HTTP status; any of several."""
    equals: Texts = ()
    """The value at success.json_path; any of several."""


_NAMES = ("to", "text", "subject", "body", "id", "locale", "timestamp")
"""The placeholders in the templates of an SMS gateway, beside secret.NAME."""
_ENCODERS: dict[str, Encode] = {"json": in_json, "form": in_query, "xml": in_xml, "text": plainly}


class SmsSettings(AnyChannelSettings):
    """Text messages over the HTTP interface of an SMS gateway."""

    form: ClassVar[Form] = "short"
    type: Literal["sms"]
    method: Literal["GET", "POST", "PUT"] = "POST"
    url: Annotated[str, AfterValidator(_url_template)]
    """The address, with placeholders such as {to} and {text}; values are percent-encoded. None in the host name."""
    headers: dict[str, str] = {}
    """HTTP headers, with placeholders."""
    body: str | None = None
    """The body of the request, with placeholders."""
    content: Literal["json", "form", "xml", "text"] = "json"
    """The format of the body, which decides the encoding of values."""
    secrets: dict[Identifier, Secret] = {}
    """Secrets for the placeholders {secret.NAME} in url, headers and body."""
    success: SmsSuccess = SmsSuccess()
    permanent: SmsCase = SmsCase(status=(400, 404, 410, 422))
    """Answers after which a retry is useless, such as an unknown number."""
    rate_limited: SmsCase = SmsCase(status=(429,))
    """Answers that ask to send more slowly."""
    retry_after: str = "Retry-After"
    """The header of an answer with the number of seconds to wait."""
    longest: int = Field(default=500, ge=60)
    """The most characters of one message; a longer text is sent in numbered parts."""
    timeout: Duration = timedelta(seconds=10)
    """The longest time for one request."""
    rate: Rate = Rate()

    @model_validator(mode="after")
    def _templates_can_be_filled(self) -> Self:
        names = [*_NAMES, *(f"secret.{name}" for name in self.secrets)]
        templates = [self.url, *self.headers.values(), self.body or ""]
        used = [name for template in templates for name in placeholders(template)]
        for name in used:
            if name not in names:
                raise unknown_name("placeholder", name, names)
        if "to" not in used or not {"text", "body"} & set(used):
            raise invalid("url, headers and body do not contain the number or the text", "{to} and {text}")
        if self.method == "GET" and self.body is not None:  # servers may ignore it (RFC 9110, 9.3.1)
            raise invalid("a GET request has no body", "method: POST, or everything in url")
        if self.body is not None and self.content == "json":
            try:
                json.loads(fill(self.body, dict.fromkeys(names, "x")))
            except ValueError:
                expected = "JSON with placeholders within quotation marks, or another content"
                raise invalid("body is not JSON", expected) from None
        if (self.success.json_path is None) != (not self.success.equals):
            raise invalid("success has only one of json_path and equals", "both, or neither")
        if self.success.json_path is None and (self.permanent.equals or self.rate_limited.equals):
            raise invalid("equals without success.json_path", "the place of the result in the answer")
        return self

    def address_problem(self, to: str | None) -> tuple[str, str] | None:
        """Return an error if there is no number."""
        return None if (to or "").strip() else ("an SMS channel needs a number", 'such as to: "+8613900000000"')

    @property
    def encode(self) -> Encode:
        """Return the encoding of values in the body."""
        return _ENCODERS[self.content]
