"""The environment in which `edge deploy` starts Ansible."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.cli.lan.deploy import _environment


@pytest.mark.parametrize("given", [{"LC_ALL": "C"}, {"LANG": "xx_YY"}, {}])
def test_ansible_gets_a_locale_it_takes(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The locale is always a UTF-8 locale that this machine has: Ansible refuses any other."""
    for name in ("LC_ALL", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert _environment(Path("ansible.cfg"))["LC_ALL"].endswith(".UTF-8")


def test_the_roles_find_home_and_the_folder_it_was_started_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME and PWD are set even if another program started `edge` without them; relative paths depend on PWD."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("PWD", raising=False)
    monkeypatch.chdir(tmp_path)
    found = _environment(Path("ansible.cfg"))
    assert found["PWD"] == str(tmp_path)
    assert Path(found["HOME"]).is_absolute()
    assert found["PATH"] == os.environ["PATH"]
