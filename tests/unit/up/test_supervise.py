"""The actions of `edge up` before its parts run."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from edge.config import Config, Loaded
from edge.core.backoff import Backoff
from edge.up.broker.node import PrivateNode, Unwritable
from edge.up.broker.ports import NodePorts
from edge.up.lines import StackLog
from edge.up.supervise import Stack


def test_only_a_full_card_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is room, the file belongs to another user or the card fails. Then `edge up` ends with one line."""
    log = io.StringIO()
    config = Config(root=tmp_path, run=tmp_path / "run")
    loaded = Loaded(config, {}, tmp_path / "edge.yaml")
    stack = Stack(loaded, PrivateNode(tmp_path / "broker", NodePorts(1, 2, 3)), StackLog(log), env={})

    def full() -> None:
        raise Unwritable("the broker cannot write store: No space left on device")

    room = iter([False, False, True])
    monkeypatch.setattr("edge.up.supervise.RESTART", Backoff(first_s=0.0, most_s=0.0))
    monkeypatch.setattr("edge.up.supervise.check_free", lambda *_, **__: None)
    monkeypatch.setattr(stack, "_prepare", full)
    monkeypatch.setattr("edge.up.supervise.durable.has_free_space", lambda _folder, _bytes: next(room))
    with pytest.raises(Unwritable, match="the broker cannot write"):
        asyncio.run(stack._work())
    assert log.getvalue().count("trying again in 0 s") == 2
