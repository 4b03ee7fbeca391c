"""The board remembers what MQTT brokers keep of it, so that it can be removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.mqtt import MqttBroker
from edge.gateway.mqtt.announced import Announced, AnnouncedFile, Place, device_id
from edge.gateway.mqtt.entities import Topics


def place(board: str = "attic", host: str = "one") -> Place:
    return Place(MqttBroker(host=host), Topics("edge_1", board))


def test_another_broker_or_another_name_leaves_something_to_tidy_up() -> None:
    """Another broker or board name makes the former place an old one. Another password file does not."""
    first = Announced("edge_1").at(place()).showing({"charge": "sensor"})
    assert first.at(place()).old == ()
    moved = first.at(Place(MqttBroker(host="one", password_file=Path("/x")), place().topics))
    assert (moved.old, moved.components) == ((), {"charge": "sensor"})
    renamed = first.at(place("cellar"))
    assert (renamed.old, renamed.components) == ((place(),), {})
    assert renamed.at(place()).old == (place("cellar"),)
    assert first.at(None).old == (place(),)
    assert first.at(None).without(place()).old == ()


def test_what_is_gone_is_named_until_it_comes_back() -> None:
    """A component that is no longer shown is listed as removed until it is shown again."""
    known = Announced("edge_1").showing({"charge": "sensor", "paused": "switch"}).showing({"charge": "sensor"})
    assert known.removed == {"paused": "switch"}
    assert known.showing({"charge": "sensor"}).removed == {"paused": "switch"}
    assert known.showing({"charge": "sensor", "paused": "switch"}).removed == {}


def test_other_sources_forget_what_was_seen() -> None:
    """Quantities that a source reported without declaring them are dropped if the sources are configured otherwise."""
    known = Announced("edge_1").knowing("a", ["watts"]).knowing("a", ["charge"])
    assert known.seen == ("charge", "watts")
    assert known.knowing("b", []).seen == ()


@given(boards=st.lists(st.sampled_from("abc"), max_size=20))
def test_the_number_of_former_places_is_limited(boards: list[str]) -> None:
    """At most eight former places are remembered, however often a board is renamed, and never the present place."""
    known = Announced("edge_1")
    for board in boards:
        known = known.at(place(board))
        assert known.place == place(board)
        assert place(board) not in known.old
        assert len(known.old) <= 8


def test_the_file_keeps_it_and_goes_with_it(tmp_path: Path) -> None:
    """The file keeps the record unchanged, and is removed once no broker keeps anything."""
    file = AnnouncedFile(tmp_path / "mqtt.json")
    known = Announced("edge_1").at(Place(MqttBroker(host="one", password_file=Path("/x")), place().topics))
    known = known.showing({"charge": "sensor"})
    file.write(known)
    assert AnnouncedFile(tmp_path / "mqtt.json").read() == known
    file.write(known.at(None).without(known.place or place()))
    assert not (tmp_path / "mqtt.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"device": 3}', b"\xff", b'{"x":' + b"[" * 9999])
def test_a_damaged_file_knows_of_nothing(tmp_path: Path, content: bytes) -> None:
    """A damaged file counts as empty. The board keeps its id, because the id comes from the machine."""
    (tmp_path / "machine-id").write_text("0123456789abcdef\n")
    (tmp_path / "mqtt.json").write_bytes(content)
    file = AnnouncedFile(tmp_path / "mqtt.json", machine_id=tmp_path / "machine-id")
    assert file.read() == Announced(device_id(tmp_path / "mqtt.json", tmp_path / "machine-id"))


def test_two_boards_have_two_ids_and_none_tells_the_machines(tmp_path: Path) -> None:
    """Boards have different ids, which do not contain the machine id and have only characters for Home Assistant."""
    ids = set()
    for machine in ("0123456789abcdef", "fedcba9876543210"):
        (tmp_path / "machine-id").write_text(machine)
        ids.add(device_id(tmp_path / "mqtt.json", tmp_path / "machine-id"))
        assert machine not in str(ids)
    assert len(ids) == 2
    assert all(each.replace("_", "").isalnum() for each in ids)
