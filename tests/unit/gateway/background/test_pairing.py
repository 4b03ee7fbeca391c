"""Pairing in the gateway: a waiting client is answered at once, and nothing runs while no request is open."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from edge.access import pairing as requests
from edge.access.pairing import LIFE_S, Outcome, Pairing, UnknownPairing
from edge.access.tokens import Scope, Tokens, digest, matching, new_secret
from edge.core import durable
from edge.core.errors import WrongState
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.gateway.background.pairing import Pairings
from edge.model.pairing import ButtonHeld, Code, new_nonce

_IN_TIME_S = 10.0


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return the paths of a board."""
    return Layout(tmp_path / "state", tmp_path / "run")


def asked(pairings: Pairings, secret: str = "") -> Pairing:
    """Make a request with its binding."""
    made = pairings.ask("laptop", sha256=digest(secret or new_secret()), address="10.0.0.7")
    return pairings.reveal(made.id, new_nonce())


def tokens_of(layout: Layout) -> Tokens:
    """Return the tokens of both token files."""
    return Tokens(layout.tokens, paired=layout.paired)


def at_work(pairings: Pairings) -> bool:
    """Return True while something is watched or a timer runs."""
    return pairings._watch is not None or pairings._timer is not None


def test_a_command_on_the_board_answers_the_waiting_client(layout: Layout) -> None:
    """An approval on the board ends the wait of the client, and its token is valid before the answer."""

    async def run() -> None:
        pairings, secret = Pairings(layout, ""), new_secret()
        request = asked(pairings, secret)
        waiter = asyncio.create_task(pairings.wait(request.id, _IN_TIME_S))
        await asyncio.sleep(0)
        code = Code(request.binding, "ZZ")
        await asyncio.to_thread(requests.approve, layout.pairing, tokens_of(layout), code, [Scope.READ])
        found = await waiter
        assert (found.outcome, found.echo) == (Outcome.APPROVED, "ZZ")
        assert found.token == matching(tokens_of(layout).list(), secret)
        pairings.close()

    asyncio.run(run())


def test_nothing_is_watched_or_timed_while_no_request_is_open(layout: Layout) -> None:
    """Before the first request and after the last one nothing is watched, no timer runs, and there is no file."""

    async def run() -> None:
        pairings = Pairings(layout, "")
        assert not at_work(pairings)
        first, second = asked(pairings), asked(pairings)
        assert at_work(pairings)
        assert len(requests.read(layout.pairing)) == 2
        await pairings.approve(Code(first.binding, "ZZ"), [Scope.READ])
        assert [each.id for each in requests.read(layout.pairing)] == [second.id]
        pairings.deny(Code(second.binding, "ZZ"))
        assert not at_work(pairings)
        assert not layout.pairing.exists()
        pairings.close()

    asyncio.run(run())


def test_no_request_is_denied_while_its_token_is_written(layout: Layout) -> None:
    """A second decision during an approval fails: a client that gets "denied" must not have a valid token."""

    async def run() -> None:
        pairings = Pairings(layout, "")
        request = asked(pairings)
        code = Code(request.binding, "ZZ")
        approval = asyncio.create_task(pairings.approve(code, [Scope.READ]))
        await asyncio.sleep(0)
        with pytest.raises(WrongState, match="is being approved"):
            pairings.deny(code)
        with pytest.raises(WrongState, match="is being approved"):
            pairings.withdraw(request.id)
        with pytest.raises(WrongState, match="is being approved"):
            await pairings.approve(code, [Scope.ADMIN], name="other")
        token = await approval
        found = await pairings.wait(request.id, 0.0)
        assert (found.outcome, found.token) == (Outcome.APPROVED, token)
        pairings.close()

    asyncio.run(run())


def test_a_request_that_was_approved_on_the_board_cannot_be_denied(layout: Layout) -> None:
    """`deny` fails if a command on the board has approved the request and the gateway has not noticed it yet."""

    async def run() -> None:
        pairings = Pairings(layout, "")
        request = asked(pairings)
        code = Code(request.binding, "ZZ")
        requests.approve(layout.pairing, tokens_of(layout), code, [Scope.READ])
        with pytest.raises(UnknownPairing):
            pairings.deny(code)
        assert (await pairings.wait(request.id, 0.0)).outcome is Outcome.APPROVED
        pairings.close()

    asyncio.run(run())


def test_requests_end_by_themselves(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a request expires, its client gets an error, the file is removed and the watch ends."""
    monkeypatch.setattr(requests, "LIFE_S", 0.2)

    async def run() -> None:
        pairings = Pairings(layout, "")
        request = asked(pairings)
        with pytest.raises(UnknownPairing):
            await pairings.wait(request.id, _IN_TIME_S)
        async with asyncio.timeout(_IN_TIME_S):
            while pairings._watch is not None:
                await asyncio.sleep(0.01)
        assert not layout.pairing.exists()
        pairings.close()

    asyncio.run(run())


def test_a_wait_ends_with_its_time_and_with_the_gateway(layout: Layout) -> None:
    """A wait ends after its time limit or when the gateway stops. The answer is that the request is still open."""

    async def run() -> None:
        pairings = Pairings(layout, "")
        request = asked(pairings)
        assert (await pairings.wait(request.id, 0.01)).outcome is Outcome.WAITING
        waiter = asyncio.create_task(pairings.wait(request.id, LIFE_S))
        await asyncio.sleep(0)
        pairings.close()
        assert (await asyncio.wait_for(waiter, _IN_TIME_S)).outcome is Outcome.WAITING
        assert not pairings._waiters

    asyncio.run(run())


def test_a_browser_gets_a_whole_code(layout: Layout) -> None:
    """A request through a page has a complete code. It is marked, because a browser compares no certificate."""

    async def run() -> None:
        pairings, secret = Pairings(layout, ""), new_secret()
        request, code = pairings.ask_here("browser", sha256=digest(secret), address="10.0.0.7")
        assert [each.here for each in requests.read(layout.pairing)] == [True]
        await pairings.approve(code, [Scope.SUBMIT])
        assert (await pairings.wait(request.id, 0)).outcome is Outcome.APPROVED
        assert matching(tokens_of(layout).list(), secret) is not None
        pairings.close()

    asyncio.run(run())


def test_an_admin_approves_into_the_file_of_the_gateway(layout: Layout) -> None:
    """The gateway writes the token to `paired/`, because it may not write the other one on an appliance."""

    async def run() -> None:
        pairings, secret = Pairings(layout, ""), new_secret()
        await pairings.approve(Code(asked(pairings, secret).binding, "ZZ"), [Scope.SUBMIT], name="phone")
        assert not layout.tokens.exists()
        found = matching(tokens_of(layout).list(), secret)
        assert found is not None
        assert found.name == "phone"
        pairings.close()

    asyncio.run(run())


@pytest.mark.parametrize("content", [b"", b"{", b'{"token": 1, "echo": "ZZ"}', b"\xff"])
def test_a_damaged_approval_file_approves_nothing(layout: Layout, content: bytes) -> None:
    """A damaged approval file is removed, and the request stays open."""

    async def run() -> None:
        pairings = Pairings(layout, "")
        request = asked(pairings)
        path = layout.pairing.with_name(f"{request.id}{requests.APPROVED}")
        path.write_bytes(content)
        async with asyncio.timeout(_IN_TIME_S):
            while path.exists():
                await asyncio.sleep(0.01)
        assert (await pairings.wait(request.id, 0)).outcome is Outcome.WAITING
        pairings.close()

    asyncio.run(run())


def test_requests_of_an_earlier_gateway_are_gone(layout: Layout) -> None:
    """A new gateway removes the old requests: their clients wait no longer, so their codes must not be approved."""

    async def run() -> None:
        asked(Pairings(layout, ""))
        assert requests.read(layout.pairing)
        Pairings(layout, "")
        assert not list(layout.pairing.parent.iterdir())

    asyncio.run(run())


def held(layout: Layout, *, at: float, boot: str = "") -> None:
    """Write what the governor writes when the button was held."""
    durable.replace_volatile(layout.button_held, msgspec.json.encode(ButtonHeld(boot or boot_id(), at)))


def button(layout: Layout) -> Pairings:
    """Return the pairing of a board with a button that approves requests."""
    layout.button_held.parent.mkdir(parents=True)
    return Pairings(layout, "", button_scopes=[Scope.SUBMIT])


def test_the_button_approves_the_one_open_request(layout: Layout) -> None:
    """The button approves the one open request. The answer has no echo, because nobody typed a code."""

    async def run() -> None:
        pairings, secret = button(layout), new_secret()
        request = asked(pairings, secret)
        waiter = asyncio.create_task(pairings.wait(request.id, _IN_TIME_S))
        await asyncio.sleep(0)
        held(layout, at=time.monotonic())
        found = await waiter
        assert (found.outcome, found.echo) == (Outcome.APPROVED, "")
        token = matching(tokens_of(layout).list(), secret)
        assert token is not None
        assert token.scopes == (Scope.SUBMIT,)
        pairings.close()

    asyncio.run(run())


@pytest.mark.parametrize("why", ["two wait", "held before", "another boot", "not configured", "no record"])
def test_the_button_approves_nothing_if_it_is_not_clear_which_request(layout: Layout, why: str) -> None:
    """The button approves nothing without exactly one request that was open before: one of two may be a stranger's."""

    async def run() -> None:
        pairings = button(layout)
        if why == "not configured":
            pairings = Pairings(layout, "")
        early = time.monotonic()
        waiting = [asked(pairings) for _ in range(2 if why == "two wait" else 1)]
        if why == "no record":
            layout.button_held.write_bytes(b"{")
        else:
            at = early if why == "held before" else time.monotonic()
            held(layout, at=at, boot="x" if why == "another boot" else "")
        await asyncio.sleep(0.05)
        assert not pairings._approving
        assert [each.id for each in pairings.open()] == [each.id for each in waiting]
        pairings.close()

    asyncio.run(run())
