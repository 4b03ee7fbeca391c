"""One request to the page: its caller, the rights of the caller, and the query or form that was sent."""

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
    """A request with its caller."""

    request: web.Request
    caller: Caller
    by_session: bool = False  # True if a session cookie identified the caller, who can then log out

    @property
    def may_submit(self) -> bool:
        """True if this caller may submit jobs."""
        return bool(self.caller.scopes & SUBMITTERS)

    @property
    def is_admin(self) -> bool:
        """True if this caller may pause the board, and cancel or remove everybody's jobs."""
        return Scope.ADMIN in self.caller.scopes

    def may_end(self, submitter: str) -> bool:
        """Return True if this caller may cancel or remove a job of `submitter`."""
        return self.caller.may_end(submitter)

    @property
    def own_only(self) -> str | None:
        """The caller's name if they may see only their own jobs, or None if they may see all jobs."""
        return None if self.caller.sees_all else self.caller.name

    @property
    def path(self) -> str:
        """The value of `{id}` in the route's path, such as a job id, or an empty text if the route has none."""
        return self.request.match_info.get("id", "")

    def query(self) -> dict[str, str]:
        """Return the query. If a name occurs twice, its last value counts."""
        return {name: _encodable(value) for name, value in self.request.query.items()}

    async def form(self, *, max_bytes: int) -> dict[str, str]:
        """Read the fields of the form. Raises BadRequest (also if a name occurs twice), TooLarge, WrongType."""
        content = await bodies.read(self.request, (FORM,), max_bytes=max_bytes, max_s=_FORM_S)
        try:
            pairs = parse_qsl(
                content.decode("ascii", "replace"),
                keep_blank_values=True,
                max_num_fields=_MOST_FIELDS,
                errors="replace",
            )
        except ValueError as err:
            raise BadRequest(f"the form has more than {_MOST_FIELDS} fields, which is the limit") from err
        fields: dict[str, str] = {}
        for name, value in pairs:
            if name in fields:
                raise BadRequest(f"field {name[:80]!r} is given twice")
            fields[name] = value.replace("\r\n", "\n")
        return fields


def _encodable(text: str) -> str:
    """Return `text` with lone surrogates replaced, because UTF-8 cannot encode them."""
    return text.encode("utf-8", "replace").decode()


def check_same_site(request: web.Request) -> None:
    """Raise Forbidden if the request does not come from a page of this board. Every change is checked by this.

    Browsers send the origin of a request in `Sec-Fetch-Site`, which no page can forge. Over plain HTTP they send only
    `Origin`.
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
