"""What `edge deploy` starts Ansible with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.cli.lan.deploy import _environment


@pytest.mark.parametrize("given", [{"LC_ALL": "C"}, {"LANG": "xx_YY"}, {}])
def test_ansible_gets_a_locale_it_takes(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses one that is not UTF-8, and one that this machine does not have."""
    for name in ("LC_ALL", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert _environment(Path("ansible.cfg"))["LC_ALL"].endswith(".UTF-8")


def test_the_roles_find_home_and_the_folder_it_was_started_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is set where a program starts it, and relative paths go by the latter."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("PWD", raising=False)
    monkeypatch.chdir(tmp_path)
    found = _environment(Path("ansible.cfg"))
    assert found["PWD"] == str(tmp_path)
    assert Path(found["HOME"]).is_absolute()
    assert found["PATH"] == os.environ["PATH"]
