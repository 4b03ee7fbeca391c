"""Makes the reference of the variables of the Ansible roles, from their `argument_specs`."""

from __future__ import annotations

from typing import Any

import yaml

from tests.docs.generated import table
from tests.docs.pages import TOP


def specs() -> dict[str, dict[str, Any]]:
    """Return the options of each role."""
    found = {}
    for path in sorted(TOP.glob("ansible/roles/*/meta/argument_specs.yml")):
        tree = yaml.safe_load(path.read_text())
        found[path.parts[-3]] = tree["argument_specs"]["main"]
    return found


def variables() -> str:
    """Return a table for each role."""
    text = ""
    for role, spec in specs().items():
        rows = ((f"`{name}`", _type(one), _default(one), _about(one)) for name, one in spec["options"].items())
        text += f"\n## Role {role}\n\n{spec['short_description']}.\n\n"
        text += table(("variable", "type", "default", "meaning"), rows)
    return text


def _type(option: dict[str, Any]) -> str:
    if choices := option.get("choices"):
        return ("list of " if option["type"] == "list" else "one of ") + ", ".join(f"`{choice}`" for choice in choices)
    return f"list of {option['elements']}" if option["type"] == "list" and "elements" in option else str(option["type"])


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    if "default" not in option:
        return ""
    text = yaml.safe_dump(option["default"], default_flow_style=True, width=10_000).split("\n...")[0].strip()
    return f"`{text}`" if "{{" not in text else "computed"


def _about(option: dict[str, Any]) -> str:
    text = option["description"]
    return " ".join(text) if isinstance(text, list) else str(text)
