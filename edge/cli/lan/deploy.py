"""`edge deploy` installs boards as appliances over ssh, with the Ansible playbooks of this package."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import click

import edge
from edge.cli import output
from edge.cli.lan.machine import config_folder, own_name
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError
from edge.core.values import JsonObject

_BOARD = re.compile(r"(?:(?P<user>[a-z_][a-z0-9_.-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)(?::(?P<port>[0-9]{1,5}))?")
_PLAYS = ("deploy", "status", "backup", "restore", "upgrade", "rollback", "remove")
#: Variables of the playbooks themselves, in addition to those of their roles.
_OF_PLAYS = (
    "backup_folder",
    "restore_from",
    "rollback_to",
    "remove_data",
    "deploy_serial",
    "upgrade_serial",
    "deploy_take_over",
)
_IGNORED = shutil.ignore_patterns("__pycache__", "deployment")


@click.command(short_help="Install edge on a board over ssh, or bring it to this version.")
@click.argument("head", metavar="[USER@]HOST[:PORT]")
@click.option("--node", "nodes", multiple=True, metavar="[USER@]HOST[:PORT]", help="Another board that works for HOST.")
@click.option(
    "--var", "variables", multiple=True, metavar="NAME=VALUE", help="A variable of the roles; may be repeated."
)
@click.option(
    "--play",
    type=click.Choice(_PLAYS),
    metavar="WHAT",
    default="deploy",
    help=f"Do something else instead: {', '.join(_PLAYS[1:])}.",
)
@click.option("--limit", metavar="HOST", help="Change this board only, and leave the other ones as they are.")
@click.option("--check", is_flag=True, help="Only show what would change.")
@click.option("--ask-pass", "-k", is_flag=True, help="Ask for the password of ssh, if the board has no key of yours.")
@click.option("--ask-become-pass", "-K", is_flag=True, help="Ask for the password of sudo on the board.")
@common
@pass_session
def deploy(
    session: Session,
    *,
    head: str,
    nodes: tuple[str, ...],
    variables: tuple[str, ...],
    play: str,
    limit: str | None,
    check: bool,
    ask_pass: bool,
    ask_become_pass: bool,
) -> int:
    """Install everything on the board HOST, or bring it to this version. A second run changes nothing.

    The board must run Debian or Raspberry Pi OS 12 or 13, 64 bit, and accept ssh from this machine with a key (with -k:
    with a password). This machine needs Ansible. The board's certificate and a token for this machine are written to
    the folder of the client's configuration.
    """
    playbook = shutil.which("ansible-playbook") or shutil.which(
        "ansible-playbook", path=str(Path(sys.executable).parent)
    )
    if playbook is None:
        raise UsageError("Ansible is not installed on this machine: pipx install ansible-core (2.16 or later)")
    name, host = _host(head)
    values: JsonObject = {
        # These scopes are only a default. If a person has changed them on the board since, the changed scopes stay.
        "edge_tokens": [{"name": own_name(), "scopes": ["submit", "read"], "keep_scopes": True}],
        "edge_keep_config": True,
    }
    chosen = dict(_variable(text) for text in variables)
    values |= chosen
    groups = {"head": {"hosts": {name: host}}}
    if nodes:
        groups["nodes"] = {"hosts": dict(map(_host, nodes))}
    if name in groups.get("nodes", {}).get("hosts", {}):
        raise UsageError(f"--node {name}: this board is the head itself; a node is another one")
    with tempfile.TemporaryDirectory(prefix="edge-deploy-") as folder:
        source = _source(Path(folder))
        _check_variables(chosen, source / "ansible")
        inventory = Path(folder) / "inventory.json"
        inventory.write_text(json.dumps({"all": {"children": groups, "vars": values}}))
        argv = [playbook, "-i", str(inventory), str(source / f"ansible/{play}.yml")]
        argv += ["--limit", limit] if limit else []
        argv += ["--check", "--diff"] if check else []
        argv += ["--ask-pass"] if ask_pass else []
        argv += ["--ask-become-pass"] if ask_become_pass else []
        done = subprocess.run(argv, env=_environment(source / "ansible/ansible.cfg"), check=False)
    if done.returncode == 0 and play == "deploy" and not check:
        _show_access(session, name, values)
    return 1 if done.returncode else 0


def _environment(config: Path) -> dict[str, str]:
    """Return the environment for Ansible. The roles need HOME and PWD.

    LC_ALL is a locale with UTF-8, because Ansible needs one. It is not this machine's own locale, because ssh sends it
    to the board, which may lack that locale.
    """
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(config),
        "LC_ALL": "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8",
        "HOME": str(Path.home()),
        "PWD": str(Path.cwd()),
    }


def _host(text: str) -> tuple[str, dict[str, object]]:
    """Return name and variables of a board in the inventory. Raises UsageError."""
    match = _BOARD.fullmatch(text)
    if match is None:
        raise UsageError(f"board {text[:80]!r}: expected [USER@]HOST[:PORT], such as pi@raspberrypi.local")
    host: dict[str, object] = {"ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new"}
    if match["user"]:
        host["ansible_user"] = match["user"]
    if match["port"]:
        host["ansible_port"] = int(match["port"])
    return match["host"], host


def _variable(text: str) -> tuple[str, object]:
    """Return the name and the value of NAME=VALUE. The value is read as YAML. Raises UsageError."""
    import yaml  # only loaded for --var

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--var {text[:80]!r}: expected NAME=VALUE, such as edge_workers=[second]")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as err:
        raise UsageError(f"--var {name}: not YAML: {err}") from err


def _check_variables(chosen: Iterable[str], folder: Path) -> None:
    """Raise UsageError for a name that is not a variable of the roles, the playbooks or Ansible itself."""
    import yaml

    names = list(_OF_PLAYS)
    for path in sorted(folder.glob("roles/*/meta/argument_specs.yml")):
        names += yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    for name in chosen:
        if name not in names and not name.startswith("ansible_"):
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(names))}"
            raise UsageError(f"--var {name}: no such variable; {hint}")


def _source(folder: Path) -> Path:
    """Return the folder that the playbook deploys: this checkout, or a copy of the installed package in `folder`."""
    package = Path(edge.__file__).parent
    if (package.parent / "ansible/deploy.yml").exists():
        return package.parent
    if not (package / "deployment/ansible/deploy.yml").exists():
        raise UsageError(f"no playbook next to {package}: install edge-worker from its wheel, or run from a checkout")
    source = folder / "source"
    shutil.copytree(package / "deployment", source)
    shutil.copytree(package, source / "edge", ignore=_IGNORED)
    tasks = find_spec("tasks")
    if tasks is None or not tasks.submodule_search_locations:
        raise UsageError(f"no package `tasks` next to {package}: install edge-worker from its wheel again")
    shutil.copytree(tasks.submodule_search_locations[0], source / "tasks", ignore=_IGNORED)
    return source


def _show_access(session: Session, name: str, values: JsonObject) -> None:
    """Show how this machine reaches the board. Write it to client.yaml, unless that file exists.

    With `edge_client_folder` set, client.yaml is not written either.
    """
    folder = config_folder()
    tls = values.get("edge_tls") != "none"
    lines = [f"url: {'https' if tls else 'http'}://{name}:{values.get('edge_gateway_port', 8420)}"]
    files = {"ca_file": f"{name}-ca.pem"} if tls else {}
    files |= {"token_file": f"{name}-{own_name()}.token"}
    lines += [f"{key}: {file}" for key, file in files.items() if (folder / file).exists()]
    target = folder / "client.yaml"
    written = not target.exists() and "edge_client_folder" not in values
    if written:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in lines))
    if session.as_json:
        output.document({"board": name, "client": lines, "written": str(target) if written else None})
    elif written:
        output.note(f'{target} names this board now; try: edge submit solve 1 "What is 50 divided by 2?" --wait')
    else:
        output.note(f"{target} was not changed; to reach this board it needs: {'; '.join(lines)}")
    own = own_name()
    expected = "edge_client_folder" not in values and any(token["name"] == own for token in values["edge_tokens"])
    if expected and not (folder / files["token_file"]).exists():
        output.note(f"the board has a token {own!r} already, but its file is not on this machine; for a new one run")
        output.note(f"  sudo edge token revoke {own}")
        output.note("on the board, then deploy again")
