"""`edge deploy`: makes boards appliances from here, with the playbook that came with this package."""

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
#: What the playbooks themselves take, beside the variables of their roles.
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


@click.command(short_help="Make a board an appliance, over ssh.")
@click.argument("head", metavar="[USER@]HOST[:PORT]")
@click.option("--node", "nodes", multiple=True, metavar="[USER@]HOST[:PORT]", help="A further board that works for it.")
@click.option(
    "--var", "variables", multiple=True, metavar="NAME=VALUE", help="A variable of the roles; may be repeated."
)
@click.option(
    "--play",
    type=click.Choice(_PLAYS),
    metavar="WHAT",
    default="deploy",
    help=f"Do something else in its place: {', '.join(_PLAYS[1:])}.",
)
@click.option("--limit", metavar="HOST", help="Leave the other boards that are named as they are.")
@click.option("--check", is_flag=True, help="Only show what would be changed.")
@click.option(
    "--ask-pass", "-k", is_flag=True, help="Ask for the password of ssh, where the board has no key of yours."
)
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
    """Install everything on the board HOST, or bring it to this version; a second run changes nothing.

    The board runs Debian or Raspberry Pi OS 12 or 13, 64 bit, and lets this machine in by ssh with a key (-k: with a
    password). This machine needs Ansible. The board's certificate and a token for this machine are put beside the
    client's configuration.
    """
    playbook = shutil.which("ansible-playbook") or shutil.which(
        "ansible-playbook", path=str(Path(sys.executable).parent)
    )
    if playbook is None:
        raise UsageError("Ansible is not installed on this machine: pipx install ansible-core (2.16 or later)")
    name, host = _host(head)
    given: JsonObject = {
        # Nobody asked for these scopes: where a person has given others on the board since, those hold.
        "edge_tokens": [{"name": own_name(), "scopes": ["submit", "read"], "keep_scopes": True}],
        "edge_keep_config": True,
    }
    asked = dict(_variable(text) for text in variables)
    given |= asked
    groups = {"head": {"hosts": {name: host}}}
    if nodes:
        groups["nodes"] = {"hosts": dict(map(_host, nodes))}
    if name in groups.get("nodes", {}).get("hosts", {}):
        raise UsageError(f"--node {name}: this board is the head itself; a node is another one")
    with tempfile.TemporaryDirectory(prefix="edge-deploy-") as folder:
        source = _source(Path(folder))
        _check_variables(asked, source / "ansible")
        inventory = Path(folder) / "inventory.json"
        inventory.write_text(json.dumps({"all": {"children": groups, "vars": given}}))
        argv = [playbook, "-i", str(inventory), str(source / f"ansible/{play}.yml")]
        argv += ["--limit", limit] if limit else []
        argv += ["--check", "--diff"] if check else []
        argv += ["--ask-pass"] if ask_pass else []
        argv += ["--ask-become-pass"] if ask_become_pass else []
        done = subprocess.run(argv, env=_environment(source / "ansible/ansible.cfg"), check=False)
    if done.returncode == 0 and play == "deploy" and not check:
        _tell(session, name, given)
    return 1 if done.returncode else 0


def _environment(config: Path) -> dict[str, str]:
    """What Ansible is started with: it refuses a locale that is not UTF-8, and the roles ask for HOME and PWD.

    The locale goes to the board by ssh, too, which may lack the one of this machine.
    """
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(config),
        "LC_ALL": "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8",
        "HOME": str(Path.home()),
        "PWD": str(Path.cwd()),
    }


def _host(text: str) -> tuple[str, dict[str, object]]:
    """Name and variables of a board in the inventory. Raises UsageError."""
    match = _BOARD.fullmatch(text)
    if match is None:
        raise UsageError(f"board {text[:80]!r}: [USER@]HOST[:PORT], such as pi@raspberrypi.local")
    host: dict[str, object] = {"ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new"}
    if match["user"]:
        host["ansible_user"] = match["user"]
    if match["port"]:
        host["ansible_port"] = int(match["port"])
    return match["host"], host


def _variable(text: str) -> tuple[str, object]:
    """NAME=VALUE, the value read as YAML. Raises UsageError."""
    import yaml  # only for who gives some

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--var {text[:80]!r}: NAME=VALUE, such as edge_workers=[second]")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as err:
        raise UsageError(f"--var {name}: not YAML: {err}") from err


def _check_variables(asked: Iterable[str], folder: Path) -> None:
    """Each name is a variable of the roles, of the playbooks or Ansible's own. Raises UsageError."""
    import yaml  # as above

    names = list(_OF_PLAYS)
    for path in sorted(folder.glob("roles/*/meta/argument_specs.yml")):
        names += yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    for name in asked:
        if name not in names and not name.startswith("ansible_"):
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
            raise UsageError(f"--var {name}: no such variable; {hint}")


def _source(folder: Path) -> Path:
    """What the playbook deploys: the checkout this runs from, or the installed package put together in `folder`."""
    package = Path(edge.__file__).parent
    if (package.parent / "ansible/deploy.yml").exists():
        return package.parent
    if not (package / "deployment/ansible/deploy.yml").exists():
        raise UsageError(f"no playbook beside {package}: install edge-worker from its wheel, or run from a checkout")
    source = folder / "source"
    shutil.copytree(package / "deployment", source)
    shutil.copytree(package, source / "edge", ignore=_IGNORED)
    tasks = find_spec("tasks")
    if tasks is None or not tasks.submodule_search_locations:
        raise UsageError(f"no package `tasks` beside {package}: install edge-worker from its wheel again")
    shutil.copytree(tasks.submodule_search_locations[0], source / "tasks", ignore=_IGNORED)
    return source


def _tell(session: Session, name: str, given: JsonObject) -> None:
    """How to reach the board from here; written down where nothing is yet."""
    folder = config_folder()
    tls = given.get("edge_tls") != "none"
    lines = [f"url: {'https' if tls else 'http'}://{name}:{given.get('edge_gateway_port', 8420)}"]
    files = {"ca_file": f"{name}-ca.pem"} if tls else {}
    files |= {"token_file": f"{name}-{own_name()}.token"}
    lines += [f"{key}: {file}" for key, file in files.items() if (folder / file).exists()]
    target = folder / "client.yaml"
    written = not target.exists() and "edge_client_folder" not in given
    if written:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in lines))
    if session.as_json:
        output.document({"board": name, "client": lines, "written": str(target) if written else None})
    elif written:
        output.note(f'{target} leads to it; try: edge submit solve 1 "What is 50 divided by 2?" --wait')
    else:
        output.note(f"{target} is as it was; for this board it would be: {'; '.join(lines)}")
    own = own_name()
    expected = "edge_client_folder" not in given and any(token["name"] == own for token in given["edge_tokens"])
    if expected and not (folder / files["token_file"]).exists():
        output.note(f"the board gave token {own!r} out before, and it is not here; to have a new one, run there:")
        output.note(f"  sudo edge token revoke {own}    and deploy again")
