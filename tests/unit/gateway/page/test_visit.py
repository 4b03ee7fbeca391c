"""The check that a change comes from a page of this board."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from edge.gateway.http.problems import Forbidden
from edge.gateway.page.visit import check_same_site


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "http://pi.local:8420"},
        {"Origin": "https://PI.local:8420"},
    ],
)
def test_pages_of_the_board_may(headers: dict[str, str]) -> None:
    """`Sec-Fetch-Site` shows that a page of the board sent the request; over plain HTTP only `Origin` does."""
    check_same_site(make_mocked_request("POST", "/pause", headers={"Host": "pi.local:8420", **headers}))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://pi.local:8420"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "null"},
        {"Origin": "http://pi.local"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://pi.local:8420.evil.example"},
        {"Origin": "http://[::1"},
        {"Origin": ""},
    ],
)
def test_others_may_not(headers: dict[str, str]) -> None:
    """A request from a page of another site, or from an unknown page, is refused."""
    with pytest.raises(Forbidden):
        check_same_site(make_mocked_request("POST", "/pause", headers={"Host": "pi.local:8420", **headers}))
