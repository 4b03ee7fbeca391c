"""The throttle of wrong tokens: the first ones are free, then an address waits longer and longer."""

from __future__ import annotations

from edge.gateway.page.throttle import FREE, Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_five_wrong_tokens_make_an_address_wait_longer_each_time() -> None:
    """Four wrong tokens cause no wait. From the fifth on, the wait doubles each time, up to ten minutes."""
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FREE - 1):
        throttle.wrong("192.0.2.7")
        assert throttle.wait_s("192.0.2.7") == 0
    waits = []
    for _ in range(9):
        throttle.wrong("192.0.2.7")
        waits.append(throttle.wait_s("192.0.2.7"))
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    clock.now += 600
    assert throttle.wait_s("192.0.2.7") == 0


def test_other_addresses_do_not_wait() -> None:
    """IPv4 addresses are counted one by one. IPv6 addresses of one /64 network, which one person holds, are one."""
    throttle = Throttle(Clock())
    for address in ("192.0.2.7", "2001:db8:1:2::1"):
        for _ in range(FREE):
            throttle.wrong(address)
    assert throttle.wait_s("192.0.2.8") == 0
    assert throttle.wait_s("2001:db8:1:2:ffff::9") > 0
    assert throttle.wait_s("2001:db8:1:3::1") == 0


def test_a_right_token_and_an_hour_are_forgiving() -> None:
    """An address starts again at zero after a right token, or after an hour."""
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FREE):
        throttle.wrong("a")
        throttle.wrong("b")
    throttle.right("a")
    throttle.wrong("a")
    assert throttle.wait_s("a") == 0
    clock.now += 3601
    throttle.wrong("b")
    assert throttle.wait_s("b") == 0


def test_a_flood_of_addresses_takes_no_memory() -> None:
    """At most 1,000 addresses are remembered; the oldest are forgotten."""
    throttle = Throttle(Clock())
    for number in range(3000):
        throttle.wrong(f"10.0.{number // 250}.{number % 250}")
    assert len(throttle._tries) == 1000
