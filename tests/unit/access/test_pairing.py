"""Pairing requests have a limited life and limited numbers, and a code approves only the request that shows it."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.access import pairing
from edge.access.pairing import (
    LIFE_S,
    MOST,
    MOST_OF_ONE,
    Outcome,
    Pairing,
    PairingBook,
    TooManyPairings,
    UnknownPairing,
)
from edge.access.tokens import Scope, TokenExists, Tokens, digest, matching, new_secret
from edge.core.errors import UsageError, WrongState
from edge.model.pairing import Code, binding_of, new_nonce

_NONCE = "0" * 32


@pytest.fixture
def book() -> PairingBook:
    """Return the request book of a gateway with a certificate."""
    return PairingBook("c" * 64)


def requested(book: PairingBook, name: str = "laptop", *, address: str = "10.0.0.7", now: float = 0.0) -> Pairing:
    """Make a request, and return it with its binding."""
    made = book.ask(name, sha256=digest(new_secret()), address=address, now=now)
    return book.reveal(made.id, new_nonce(), now=now)


def code_of(request: Pairing) -> Code:
    """Return the code that the screen of the client shows."""
    return Code(request.binding, "ZZ")


def test_both_ends_find_the_same_binding(book: PairingBook) -> None:
    """They agree if the laptop saw the board's certificate. With another certificate they do not."""
    made = book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    found = book.reveal(made.id, _NONCE, now=0.0)

    def at_the_laptop(certificate: str) -> str:
        return binding_of(
            certificate=certificate, token_sha256="d" * 64, name="laptop", board_nonce=made.nonce, own_nonce=_NONCE
        )

    assert found.binding == at_the_laptop("c" * 64)
    assert found.binding != at_the_laptop("e" * 64)


def test_a_client_cannot_change_its_number(book: PairingBook) -> None:
    """The same number again is a repeated request. Another number would be an attempt to get another code."""
    made = book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    found = book.reveal(made.id, _NONCE, now=0.0)
    assert book.reveal(made.id, _NONCE, now=1.0) == found
    with pytest.raises(WrongState):
        book.reveal(made.id, "1" * 32, now=1.0)


def test_a_request_sent_again_is_one_request(book: PairingBook) -> None:
    """The client repeats its request if the answer to the first one was lost."""
    first = book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    assert book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=1.0) == first


def test_without_its_number_a_request_cannot_be_approved(book: PairingBook) -> None:
    """Until the client has sent its random number, the request has no code."""
    book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    assert book.open(0.0) == []
    with pytest.raises(UnknownPairing):
        book.by_code(Code("", ""), now=0.0)


def test_a_code_lives_five_minutes(book: PairingBook) -> None:
    """After that the code and the request are unknown, and no memory is used for them."""
    request = requested(book)
    assert book.by_code(code_of(request), now=LIFE_S - 1).id == request.id
    with pytest.raises(UnknownPairing, match="do not continue"):
        book.by_code(code_of(request), now=LIFE_S)
    with pytest.raises(UnknownPairing):
        book.find(request.id, now=LIFE_S)
    assert not book._pairings


@pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.DENIED])
def test_a_code_counts_once(book: PairingBook, outcome: Outcome) -> None:
    """The first decision stands, and the client can still read it."""
    request = requested(book)
    book.settle(request.id, outcome)
    with pytest.raises(UnknownPairing):
        book.by_code(code_of(request), now=1.0)
    book.settle(request.id, Outcome.APPROVED if outcome is Outcome.DENIED else Outcome.DENIED)
    assert book.find(request.id, now=1.0).outcome is outcome


def test_one_address_may_ask_a_few_times(book: PairingBook) -> None:
    """After that it is refused, and the error says when to try again. Another address is not affected."""
    for number in range(MOST_OF_ONE):
        requested(book, now=float(number))
    with pytest.raises(TooManyPairings, match=r"10\.0\.0\.7") as caught:
        requested(book, now=10.0)
    assert caught.value.retry_after_s == LIFE_S - 10
    requested(book, address="10.0.0.8", now=10.0)
    requested(book, now=LIFE_S)


def test_withdrawing_gives_no_further_try(book: PairingBook) -> None:
    """A withdrawn request still counts towards the limit."""
    for _ in range(MOST_OF_ONE):
        book.withdraw(requested(book).id)
    with pytest.raises(TooManyPairings):
        requested(book)


@pytest.mark.parametrize("prefix", ["2001:db8:0:1::", "fe80::"])
def test_a_machine_with_many_ipv6_addresses_is_one(book: PairingBook, prefix: str) -> None:
    """A machine may use any address of its /64, so the whole /64 counts as one address."""
    for number in range(MOST_OF_ONE):
        requested(book, address=f"{prefix}{number + 1:x}")
    with pytest.raises(TooManyPairings):
        requested(book, address=f"{prefix}ffff%eth0")


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(0, 60), st.booleans()), max_size=150))
def test_nothing_grows_without_bound(steps: list[tuple[float, int, bool]]) -> None:
    """For any sequence of requests, at most `MOST` are held, and none is older than a code may be."""
    book, now = PairingBook(""), 0.0
    for pause_s, address, withdraws in steps:
        now += pause_s
        with suppress(TooManyPairings):
            request = requested(book, address=f"10.0.0.{address}", now=now)
            if withdraws:
                book.withdraw(request.id)
        assert len(book.open(now)) <= MOST
        assert len(book._asked) <= MOST
        assert all(now < each.until <= now + LIFE_S for each in book.open(now))


# ---- on the board ----


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Return the token files of a board."""
    return Tokens(tmp_path / "tokens.json", paired=tmp_path / "paired" / "tokens.json")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the gateway's file of requests."""
    return tmp_path / "requests.json"


def requested_now(name: str = "laptop") -> tuple[str, Pairing]:
    """Make a token and a request for it, by the clock of this boot. Return the secret and the request."""
    secret, now = new_secret(), time.monotonic()
    book = PairingBook("")
    made = book.ask(name, sha256=digest(secret), address="10.0.0.7", now=now)
    return secret, book.reveal(made.id, new_nonce(), now=now)


def test_an_approval_makes_only_the_requested_token_valid(path: Path, tokens: Tokens) -> None:
    """The token gets only these scopes, and the gateway gets an approval with the echo of the code."""
    (secret, request), (other, second) = requested_now(), requested_now("other")
    path.write_bytes(pairing.encode([request, second]))
    made, found = pairing.approve(path, tokens, code_of(request), [Scope.READ])
    assert (made.name, made.scopes, found.address) == ("laptop", (Scope.READ,), "10.0.0.7")
    assert matching(tokens.list(), secret) == made
    assert matching(tokens.list(), other) is None
    approved = path.with_name(f"{request.id}{pairing.APPROVED}")
    approval = pairing.taken_approval(approved)
    assert approval is not None
    assert (approval.echo, approval.token) == ("ZZ", made)
    assert not approved.exists()


def test_a_code_without_a_request_approves_nothing(path: Path, tokens: Tokens) -> None:
    """It makes no difference whether another request waits. The error warns of a machine in between."""
    _, request = requested_now()
    for content in (None, pairing.encode([]), pairing.encode([request])):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UnknownPairing, match="do not continue"):
            pairing.approve(path, tokens, Code("00000" if request.binding != "00000" else "11111", "ZZ"), [Scope.READ])
    assert tokens.list() == ()


def test_two_requests_with_the_same_code_are_both_refused(path: Path, tokens: Tokens) -> None:
    """One of the clients may have tried until it had the code of the other."""
    _, request = requested_now()
    path.write_bytes(pairing.encode([request, request]))
    with pytest.raises(UnknownPairing):
        pairing.approve(path, tokens, code_of(request), [Scope.READ])


def test_a_taken_name_is_replaced_only_on_request(path: Path, tokens: Tokens) -> None:
    """A laptop may pair again, but without the request to replace, a new token could take the place of another one."""
    old = tokens.add("laptop", [Scope.READ])
    secret, request = requested_now()
    path.write_bytes(pairing.encode([request]))
    with pytest.raises(TokenExists):
        pairing.approve(path, tokens, code_of(request), [Scope.SUBMIT])
    pairing.approve(path, tokens, code_of(request), [Scope.SUBMIT], replace=True)
    assert matching(tokens.list(), old) is None
    assert matching(tokens.list(), secret) is not None
    assert len(tokens.list()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"boot_id": 1}', b"\xff"])
def test_an_invalid_file_of_requests_gives_one_sentence(path: Path, content: bytes) -> None:
    """The user gets a usage error, not a traceback."""
    path.write_bytes(content)
    with pytest.raises(UsageError, match="pairing requests"):
        pairing.read(path)


def test_requests_of_an_earlier_boot_are_ignored(path: Path) -> None:
    """Their end is by a clock that started again with this boot."""
    _, request = requested_now()
    path.write_bytes(pairing.encode([request]).replace(b'"boot_id":"', b'"boot_id":"x'))
    assert pairing.read(path) == ()
