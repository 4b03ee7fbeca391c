"""Requests to be let in: their life, their limits, and who is let in by a code."""

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
    """The requests of a gateway with a certificate."""
    return PairingBook("c" * 64)


def asked(book: PairingBook, name: str = "laptop", *, address: str = "10.0.0.7", now: float = 0.0) -> Pairing:
    """A request with its binding."""
    made = book.ask(name, sha256=digest(new_secret()), address=address, now=now)
    return book.reveal(made.id, new_nonce(), now=now)


def code_of(request: Pairing) -> Code:
    """What its screen shows."""
    return Code(request.binding, "ZZ")


def test_both_ends_find_the_same_binding(book: PairingBook) -> None:
    """If the laptop saw the board's certificate; with another one it does not."""
    made = book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    found = book.reveal(made.id, _NONCE, now=0.0)

    def at_the_laptop(certificate: str) -> str:
        return binding_of(
            certificate=certificate, token_sha256="d" * 64, name="laptop", board_nonce=made.nonce, own_nonce=_NONCE
        )

    assert found.binding == at_the_laptop("c" * 64)
    assert found.binding != at_the_laptop("e" * 64)


def test_a_number_is_told_once(book: PairingBook) -> None:
    """The same one again is the same request sent again; another one would be a try at another code."""
    made = book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    found = book.reveal(made.id, _NONCE, now=0.0)
    assert book.reveal(made.id, _NONCE, now=1.0) == found
    with pytest.raises(WrongState):
        book.reveal(made.id, "1" * 32, now=1.0)


def test_a_request_sent_again_is_one_request(book: PairingBook) -> None:
    """The answer to the first may have been lost."""
    first = book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    assert book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=1.0) == first


def test_without_its_number_a_request_cannot_be_approved(book: PairingBook) -> None:
    """It has no code yet."""
    book.ask("laptop", sha256="d" * 64, address="10.0.0.7", now=0.0)
    assert book.open(0.0) == []
    with pytest.raises(UnknownPairing):
        book.by_code(Code("", ""), now=0.0)


def test_a_code_lives_five_minutes(book: PairingBook) -> None:
    """Then nobody knows it, and nothing is left of it."""
    request = asked(book)
    assert book.by_code(code_of(request), now=LIFE_S - 1).id == request.id
    with pytest.raises(UnknownPairing, match="do not go on"):
        book.by_code(code_of(request), now=LIFE_S)
    with pytest.raises(UnknownPairing):
        book.find(request.id, now=LIFE_S)
    assert book.next_end() is None


@pytest.mark.parametrize("outcome", [Outcome.APPROVED, Outcome.DENIED])
def test_a_code_counts_once(book: PairingBook, outcome: Outcome) -> None:
    """Who asked is told how it ended; nobody can decide otherwise."""
    request = asked(book)
    book.settle(request.id, outcome)
    with pytest.raises(UnknownPairing):
        book.by_code(code_of(request), now=1.0)
    book.settle(request.id, Outcome.APPROVED if outcome is Outcome.DENIED else Outcome.DENIED)
    assert book.find(request.id, now=1.0).outcome is outcome


def test_one_address_may_ask_a_few_times(book: PairingBook) -> None:
    """And is told when it may again; another address is not kept from asking."""
    for number in range(MOST_OF_ONE):
        asked(book, now=float(number))
    with pytest.raises(TooManyPairings, match=r"10\.0\.0\.7") as caught:
        asked(book, now=10.0)
    assert caught.value.retry_after_s == LIFE_S - 10
    asked(book, address="10.0.0.8", now=10.0)
    asked(book, now=LIFE_S)


def test_withdrawing_gives_no_further_try(book: PairingBook) -> None:
    """What counts is that it asked."""
    for _ in range(MOST_OF_ONE):
        book.withdraw(asked(book).id)
    with pytest.raises(TooManyPairings):
        asked(book)


@pytest.mark.parametrize("prefix", ["2001:db8:0:1::", "fe80::"])
def test_a_machine_with_many_ipv6_addresses_is_one(book: PairingBook, prefix: str) -> None:
    """It may choose any within its /64."""
    for number in range(MOST_OF_ONE):
        asked(book, address=f"{prefix}{number + 1:x}")
    with pytest.raises(TooManyPairings):
        asked(book, address=f"{prefix}ffff%eth0")


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(0, 60), st.booleans()), max_size=150))
def test_nothing_grows_without_bound(steps: list[tuple[float, int, bool]]) -> None:
    """Whoever asks, however often: at most `MOST` requests are held, all younger than a code may be."""
    book, now = PairingBook(""), 0.0
    for pause_s, address, withdraws in steps:
        now += pause_s
        with suppress(TooManyPairings):
            request = asked(book, address=f"10.0.0.{address}", now=now)
            if withdraws:
                book.withdraw(request.id)
        assert len(book.open(now)) <= MOST
        assert len(book._asked) <= MOST
        assert all(now < each.until <= now + LIFE_S for each in book.open(now))


# ---- on the board ----


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """The token files of a board."""
    return Tokens(tmp_path / "tokens.json", paired=tmp_path / "paired" / "tokens.json")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The gateway's file of requests."""
    return tmp_path / "requests.json"


def now_asked(name: str = "laptop") -> tuple[str, Pairing]:
    """A secret, and the request of who holds it, by the clock of this boot."""
    secret, now = new_secret(), time.monotonic()
    book = PairingBook("")
    made = book.ask(name, sha256=digest(secret), address="10.0.0.7", now=now)
    return secret, book.reveal(made.id, new_nonce(), now=now)


def test_approving_lets_in_the_token_that_asked(path: Path, tokens: Tokens) -> None:
    """Nobody else, and with these scopes only; the gateway is told, with the end of the code."""
    (secret, request), (other, second) = now_asked(), now_asked("other")
    path.write_bytes(pairing.encode([request, second]))
    made, found = pairing.approve(path, tokens, code_of(request), [Scope.READ])
    assert (made.name, made.scopes, found.address) == ("laptop", (Scope.READ,), "10.0.0.7")
    assert matching(tokens.list(), secret) == made
    assert matching(tokens.list(), other) is None
    told = path.with_name(f"{request.id}{pairing.APPROVED}")
    approval = pairing.taken_approval(told)
    assert approval is not None
    assert (approval.echo, approval.token) == ("ZZ", made)
    assert not told.exists()


def test_a_code_that_nobody_shows_lets_nobody_in(path: Path, tokens: Tokens) -> None:
    """Whether somebody asks or not; what stands between may be why."""
    _, request = now_asked()
    for content in (None, pairing.encode([]), pairing.encode([request])):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UnknownPairing, match="do not go on"):
            pairing.approve(path, tokens, Code("00000" if request.binding != "00000" else "11111", "ZZ"), [Scope.READ])
    assert tokens.list() == ()


def test_two_with_one_code_are_both_refused(path: Path, tokens: Tokens) -> None:
    """One of them may have tried until it had the code of the other."""
    _, request = now_asked()
    path.write_bytes(pairing.encode([request, request]))
    with pytest.raises(UnknownPairing):
        pairing.approve(path, tokens, code_of(request), [Scope.READ])


def test_a_taken_name_is_replaced_only_on_request(path: Path, tokens: Tokens) -> None:
    """The laptop that asks again; otherwise somebody could take another's place."""
    old = tokens.add("laptop", [Scope.READ])
    secret, request = now_asked()
    path.write_bytes(pairing.encode([request]))
    with pytest.raises(TokenExists):
        pairing.approve(path, tokens, code_of(request), [Scope.SUBMIT])
    pairing.approve(path, tokens, code_of(request), [Scope.SUBMIT], replace=True)
    assert matching(tokens.list(), old) is None
    assert matching(tokens.list(), secret) is not None
    assert len(tokens.list()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"boot_id": 1}', b"\xff"])
def test_an_odd_file_of_requests_is_one_sentence(path: Path, content: bytes) -> None:
    """No traceback."""
    path.write_bytes(content)
    with pytest.raises(UsageError, match="pairing requests"):
        pairing.read(path)


def test_requests_of_an_earlier_boot_are_none(path: Path) -> None:
    """They count by a clock that began anew."""
    _, request = now_asked()
    path.write_bytes(pairing.encode([request]).replace(b'"boot_id":"', b'"boot_id":"x'))
    assert pairing.read(path) == ()
