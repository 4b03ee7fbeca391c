"""The code of a pairing: what it depends on, and how a typed code is read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import UsageError
from edge.model import pairing
from edge.model.pairing import Code

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODES = st.builds(Code, st.text(_ALPHABET, min_size=5, max_size=5), st.text(_ALPHABET, min_size=2, max_size=2))
_FIELDS = {
    "certificate": "c" * 64,
    "token_sha256": "d" * 64,
    "name": "laptop",
    "board_nonce": "1" * 32,
    "own_nonce": "2" * 32,
}


@given(_CODES)
def test_what_is_shown_can_be_typed(code: Code) -> None:
    """Small letters, a missing dash, spaces, O for 0 and l for 1 are accepted."""
    text = str(code)
    for variant in (text, text.lower(), text.replace("-", ""), f" {text[:3]} {text[3:]} ", text.replace("0", "o")):
        assert pairing.typed(variant) == code
    assert pairing.typed(text.replace("1", "l")) == code


@given(_CODES, st.integers(0, 7), st.sampled_from(_ALPHABET))
def test_one_wrong_character_is_a_typing_error(code: Code, place: int, other: str) -> None:
    """The check character finds every single wrong character."""
    text = str(code).replace("-", "")
    if text[place] == other:
        return
    with pytest.raises(UsageError, match="typing error"):
        pairing.typed(text[:place] + other + text[place + 1 :])


@given(st.text(max_size=60))
def test_any_text_is_a_code_or_one_sentence(text: str) -> None:
    """Other text raises only UsageError."""
    with suppress(UsageError):
        code = pairing.typed(text)
        assert pairing.typed(str(code)) == code


@pytest.mark.parametrize("field", _FIELDS)
def test_the_binding_depends_on_everything_that_both_ends_know(field: str) -> None:
    """The certificate is the most important part, because an attacker must show another one."""
    other = {**_FIELDS, field: _FIELDS[field][:-1] + "9"}
    assert pairing.binding_of(**_FIELDS) == pairing.binding_of(**_FIELDS)
    assert pairing.binding_of(**_FIELDS) != pairing.binding_of(**other)


@given(st.lists(st.uuids().map(lambda each: each.hex), min_size=200, max_size=200, unique=True))
def test_bindings_are_spread(nonces: list[str]) -> None:
    """Of 200 random requests no three share a binding. In one of 1,700 lists two share one."""
    bindings = [pairing.binding_of(**{**_FIELDS, "own_nonce": nonce}) for nonce in nonces]
    assert all(bindings.count(each) < 3 for each in set(bindings))


def test_a_commitment_belongs_to_one_number() -> None:
    """The commitment does not reveal the number."""
    assert pairing.commitment("1" * 32) == pairing.commitment("1" * 32)
    assert pairing.commitment("1" * 32) != pairing.commitment("2" * 32)
    assert "1" * 32 not in pairing.commitment("1" * 32)
