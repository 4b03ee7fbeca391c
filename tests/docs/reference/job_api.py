"""Makes the reference of `Job`, which the body of a task may call, and of the options of `@task`, from docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

from edge.worker.api.job import Job
from edge.worker.celery import task as task_module
from tests.docs.generated import table

#: Attributes that `__init__` sets. Their text in the code is a comment, which cannot be read at run time.
_ATTRIBUTES = {
    "id": "Id of the job.",
    "attempt": "Ordinal of this attempt, counted from 1.",
    "settings": "The `settings:` of this kind of job in `edge.yaml`.",
}


def job() -> str:
    """Return a section for each public method of `Job`, the attributes first."""
    text = table(
        ("attribute", "meaning"), ((f"`job.{name}`", text) for name, text in (_ATTRIBUTES | _properties()).items())
    )
    for name, method in inspect.getmembers(Job, inspect.isfunction):
        if not name.startswith("_"):
            text += f"\n## job.{name}\n\n" + _section(method.__doc__ or "", _call(f"job.{name}", method))
    local = Job.__dict__["local"].__func__
    return text + "\n## Job.local\n\n" + _section(local.__doc__ or "", _call("Job.local", local))


def task_options() -> str:
    """Return the options of `@task` as a table."""
    tree = ast.parse(Path(str(task_module.__file__)).read_text())
    (function,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "task" and not n.decorator_list]
    arguments = _lists(inspect.cleandoc(ast.get_docstring(function) or ""))["Args"]
    defaults = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    values = {each.arg: ast.unparse(value) if value else "" for each, value in defaults}
    names = {"Power.NORMAL": '"normal"', "Pool.MAIN": '"main"'}
    rows = (
        (f"`{name}`", f"`{names.get(values[name], values[name])}`", text) for name, text in arguments if name in values
    )
    return table(("option", "default", "meaning"), rows)


def _properties() -> dict[str, str]:
    found = inspect.getmembers(Job, lambda member: isinstance(member, property))
    return {name: _first(member.__doc__ or "") for name, member in found if not name.startswith("_")}


def _first(doc: str) -> str:
    return " ".join(inspect.cleandoc(doc).partition("\n\n")[0].split())


def _call(name: str, method: Callable[..., object]) -> str:
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    assert isinstance(function, ast.FunctionDef)
    (function.args.posonlyargs or function.args.args).pop(0)  # self, or cls
    returns = ast.unparse(function.returns) if function.returns else "None"
    return f"{name}({ast.unparse(function.args)}) -> {returns}"


def _section(doc: str, call: str) -> str:
    clean = inspect.cleandoc(doc)
    prose = re.split(r"\n\n(?=(?:Args|Returns|Raises):\n)", clean)[0]
    text = f"`{call}`\n\n{prose}\n"
    for title, rows in _lists(clean).items():
        text += f"\n{'Arguments' if title == 'Args' else title}:\n\n" + "".join(
            f"- `{key}`: {meaning}\n" for key, meaning in rows
        )
    return text


def _lists(doc: str) -> dict[str, list[tuple[str, str]]]:
    """Return the items of `Args:` and `Raises:` of a docstring in Google's style."""
    found: dict[str, list[tuple[str, str]]] = {}
    for title, body in re.findall(r"^(Args|Raises):\n((?:    .*\n?|\n)+)", doc, re.MULTILINE):
        items = re.findall(r"^    (\S.*?): (.*(?:\n        .*)*)", body, re.MULTILINE)
        found[title] = [(key, " ".join(text.split())) for key, text in items]
    return found
