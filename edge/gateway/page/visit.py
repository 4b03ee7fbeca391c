"""One request of a person to the page: who it is, what they may do, and what they sent."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from edge.access.tokens import Scope
from edge.gateway.http import bodies
from edge.gateway.http.auth import Caller
from edge.gateway.http.problems import BadRequest, Forbidden
from edge.gateway.http.route import SUBMITTERS

FORM = "application/x-www-form-urlencoded"
_FORM_S = 30.0
_MOST_FIELDS = 500


@dataclass(frozen=True)
class Visit:
    """A request, its caller, and whether a session cookie brought it (then there is a log-out)."""

    request: web.Request
    caller: Caller
    by_session: bool = False

    @property
    def may_submit(self) -> bool:
        """True when this caller may hand in jobs."""
        return bool(self.caller.scopes & SUBMITTERS)

    @property
    def is_admin(self) -> bool:
        """True when this caller may pause the board, and end everybody's jobs."""
        return Scope.ADMIN in self.caller.scopes

    def may_end(self, submitter: str) -> bool:
        """True when this caller may cancel or remove a job of `submitter`."""
        return self.caller.may_end(submitter)

    @property
    def own_only(self) -> str | None:
        """Name of the submitter whose jobs alone this caller sees; None: all."""
        return None if self.caller.sees_all else self.caller.name

    @property
    def path(self) -> str:
        """The last part of the address that a route leaves open."""
        return self.request.match_info.get("id", "")

    def query(self) -> dict[str, str]:
        """The query; of a name that is given twice the last value counts."""
        return {name: legible(value) for name, value in self.request.query.items()}

    async def form(self, *, max_bytes: int) -> dict[str, str]:
        """What a form sent; a name that is given twice is refused. Raises BadRequest, TooLarge, WrongType."""
        content = await bodies.read(self.request, (FORM,), max_bytes=max_bytes, max_s=_FORM_S)
        try:
            pairs = parse_qsl(
                content.decode("ascii", "replace"),
                keep_blank_values=True,
                max_num_fields=_MOST_FIELDS,
                errors="replace",
            )
        except ValueError as err:
            raise BadRequest(f"the form has more than the {_MOST_FIELDS} fields that are taken") from err
        fields: dict[str, str] = {}
        for name, value in pairs:
            if name in fields:
                raise BadRequest(f"field {name[:80]!r} is given twice")
            fields[name] = value.replace("\r\n", "\n")
        return fields


def legible(text: str) -> str:
    """`text` with halves of surrogate pairs replaced, because no answer could carry them."""
    return text.encode("utf-8", "replace").decode()


def check_same_site(request: web.Request) -> None:
    """A change must come from a page of ours. Raises Forbidden.

    Browsers say so in `Sec-Fetch-Site`, which no page can forge, but over plain HTTP only in `Origin`.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        same = site == "same-origin"
    else:
        origin = request.headers.get("Origin", "")
        try:
            same = bool(origin) and urlsplit(origin).netloc.lower() == request.host.lower()
        except ValueError:
            same = False
    if not same:
        raise Forbidden("this was not sent by a page of this board; open the page itself and try again there")
