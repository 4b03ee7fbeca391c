"""Builds the OpenAPI 3.1 document from the table of routes and the catalogue of tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus

import msgspec

from edge import __version__
from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.core.values import JsonObject, JsonValue
from edge.gateway.http import problems
from edge.gateway.http.route import EVENT_STREAM, JSON, OCTETS, Answer, Header, NoQuery, Route
from edge.model import EVERY_SCHEMA, Submission
from edge.wire import Problem

_REFERENCE = "#/components/schemas/{name}"
_JOB_ID: JsonObject = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"}
_CODE: JsonObject = {"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{8}$"}
_PLACES: dict[str, tuple[JsonObject, str]] = {
    "id": (_JOB_ID, "id of a job"),
    "request": ({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "id of a pairing request"),
    "code": (_CODE, "code of a pairing request, as its screen shows it; dash, spaces and small letters are allowed"),
    "upload": (
        {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
        "name of an upload, chosen by the sender; the SHA-256 of the file is best",
    ),
    "sha256": ({"type": "string", "pattern": "^[0-9a-f]{64}$"}, "SHA-256 of a file"),
    "schedule": (
        {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        "name of a schedule",
    ),
    "name": ({"type": "string", "minLength": 1, "maxLength": 200}, "name of a file, from the result's `files`"),
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def document(routes: Iterable[Route], catalogue: Catalogue | None) -> JsonObject:
    """Return the whole document. With a catalogue, it describes the submission of each task with its arguments."""
    routes = list(routes)
    kinds: list[type] = [Problem, Submission]
    for route in routes:
        kinds += [answer.kind for answer in route.answers if answer.kind is not None]
        kinds += [route.body.kind] if route.body else []
    unique = list(dict.fromkeys(kinds))
    _, schemas = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    if catalogue is not None and catalogue.tasks:
        _describe_tasks(schemas, catalogue)
    paths: dict[str, JsonObject] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edge worker",
            "version": __version__,
            "description": "Jobs for a board: handed in, kept through power cuts, run when there is power for them.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "made by `edge token add NAME`"}
            },
        },
    }


def _operation(route: Route) -> JsonObject:
    operation: JsonObject = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-z]+', '_', route.path.removeprefix('/v1'))}".rstrip("_"),
        "summary": route.summary,
        "security": [{"token": []}] if route.scopes else [],
        "responses": {str(answer.status.value): _answer(answer) for answer in route.answers},
    }
    parameters = [*_path_parameters(route), *_query_parameters(route), *map(_header, route.headers)]
    if parameters:
        operation["parameters"] = parameters
    if route.scopes:
        operation["description"] = f"Needs a token with scope {' or '.join(sorted(route.scopes))}."
    if route.body:
        schema: JsonObject = {"$ref": _REFERENCE.format(name=route.body.kind.__name__)}
        if route.body.media[0] == OCTETS:
            schema = {"type": "string", "format": "binary"}
        elif route.body.media[0] != JSON:
            schema = {"type": "string", "pattern": "[{]"}  # OpenAPI 3.1 has no schema for lines of JSON
        operation["requestBody"] = {
            "required": route.body.required,
            "description": route.body.description,
            "content": {route.body.media[0]: {"schema": schema}},
        }
    for status in _problems(route):
        operation["responses"].setdefault(str(status.value), _problem(status))
    return operation


def _problems(route: Route) -> Iterator[HTTPStatus]:
    yield HTTPStatus.BAD_REQUEST
    if route.scopes:
        yield from (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    if route.body:
        yield from (
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    yield from route.problems
    yield from (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)


def _problem(status: HTTPStatus) -> JsonObject:
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}}
    return {"description": status.phrase, "content": content}


def _answer(answer: Answer) -> JsonObject:
    described: JsonObject = {"description": answer.description}
    if answer.kind is not None and answer.media == JSON:
        described["content"] = {JSON: {"schema": {"$ref": _REFERENCE.format(name=answer.kind.__name__)}}}
    elif answer.kind is not None and answer.media == EVENT_STREAM:
        described["content"] = {EVENT_STREAM: {"schema": _event(answer.kind)}}
    elif answer.kind is not None or answer.media != JSON:
        described["content"] = {answer.media: _BINARY if answer.media == "*/*" else {"schema": {"type": "string"}}}
    if answer.headers or answer.sometimes:
        described["headers"] = {
            name: {"description": text, "required": name in answer.headers, "schema": {"type": "string"}}
            for name, text in (answer.headers | answer.sometimes).items()
        }
    return described


def _event(kind: type) -> JsonObject:
    """Return the schema of the events of a stream. The `data` of each event is a `kind` in JSON."""
    data: JsonObject = {
        "type": "string",
        "contentMediaType": JSON,
        "contentSchema": {"$ref": _REFERENCE.format(name=kind.__name__)},
    }
    members = {"event": {"type": "string"}, "id": {"type": "string"}, "data": data, "retry": {"type": "integer"}}
    return {"type": "object", "properties": members}


def _path_parameters(route: Route) -> Iterator[JsonObject]:
    for name in re.findall(r"{(\w+)}", route.path):
        schema, text = _PLACES[name]
        yield {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _query_parameters(route: Route) -> Iterator[JsonObject]:
    if route.query is NoQuery:
        return
    _, parts = msgspec.json.schema_components([route.query], ref_template=_REFERENCE)
    for name, raw in parts[route.query.__name__]["properties"].items():
        schema = _inlined(raw, parts)
        text = schema.pop("description")
        yield {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _inlined(schema: JsonObject, parts: Mapping[str, JsonValue]) -> JsonObject:
    """Return the schema of a query parameter with each reference replaced by its target."""
    text = schema.get("description", "")
    if "$ref" in schema:
        schema = {"type": "string", "enum": parts[schema["$ref"].rpartition("/")[2]]["enum"]}
    return schema | {"description": text}


def _header(header: Header) -> JsonObject:
    return {
        "name": header.name,
        "in": "header",
        "required": False,
        "description": header.description,
        "schema": header.schema,
    }


def _describe_tasks(schemas: JsonObject, catalogue: Catalogue) -> None:
    """Replace the general schema of a submission, which knows no arguments, by one schema for each task."""
    general = schemas["Submission"]
    choices, periodic = list[JsonObject](), list[JsonObject]()
    for name, kind in sorted(catalogue.tasks.items()):
        part = f"Submission.{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"
        arguments = dict(kind.schema)
        for own, schema in arguments.pop("$defs", {}).items():
            schemas[f"{part}.{own}"] = _moved(schema, part)
        arguments = _moved(arguments, part)
        schemas[part] = {"description": kind.summary, "anyOf": list(_forms(general, kind, arguments))}
        choices.append({"$ref": _REFERENCE.format(name=part)})
        part = part.replace("Submission", "Schedule", 1)
        schemas[part] = {
            "description": kind.summary,
            "anyOf": list(_periodic_forms(schemas["Schedule"], kind, arguments)),
        }
        periodic.append({"$ref": _REFERENCE.format(name=part)})
    schemas["Submission"] = {
        "title": general["title"],
        "description": f"{general['description']} Arguments by place (`args`), by name (`kwargs`), or first ones by "
        "place and the rest by name.",
        "anyOf": choices,
    }
    schemas["Schedule"] = {"title": "Schedule", "description": schemas["Schedule"]["description"], "anyOf": periodic}


def _periodic_forms(general: JsonObject, kind: TaskInfo, arguments: JsonObject) -> Iterator[JsonObject]:
    """Yield the schemas of a schedule of `kind`: with `cron`, and with `every_s`."""
    times: dict[str, JsonObject] = {"cron": {"type": "string", "format": "cron"}, "every_s": EVERY_SCHEMA}
    zone: JsonObject = {"anyOf": [{"type": "string", "format": "timezone"}, {"type": "null"}]}
    for name, schema in times.items():
        others = {key: value for key, value in general["properties"].items() if key not in times}
        for form in _forms({"properties": others | {name: schema, "timezone": zone}}, kind, arguments):
            yield form | {"required": [*form["required"], name]}


def _forms(general: JsonObject, kind: TaskInfo, arguments: JsonObject) -> Iterator[JsonObject]:
    """Yield the schemas of a submission of `kind`, with none, one, two ... of its arguments as positional ones."""
    properties, required = arguments["properties"], set(arguments.get("required", ()))
    for count in range(len(kind.positional) + 1):
        placed = kind.positional[:count]
        named = {name: schema for name, schema in properties.items() if name not in placed}
        needed = sorted(required & set(named))
        args: JsonObject = {"type": "array", "minItems": count, "maxItems": count}
        if placed:
            args["prefixItems"] = [properties[name] for name in placed]
        kwargs = {"type": "object", "properties": named, "required": needed, "additionalProperties": False}
        yield {
            "type": "object",
            "properties": general["properties"] | {"task": {"const": kind.name}, "args": args, "kwargs": kwargs},
            "required": ["task", *(["args"] if placed else []), *(["kwargs"] if needed else [])],
            "additionalProperties": False,
        }


def _moved(node: JsonValue, part: str) -> JsonValue:
    """Return the schema `node` for its new place: references into `$defs` are adapted, `$schema` is removed."""
    if isinstance(node, list):
        return [_moved(child, part) for child in node]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(child, part) for key, child in node.items() if key != "$schema"}
    if isinstance(reference := moved.get("$ref"), str):
        moved["$ref"] = reference.replace("#/$defs/", _REFERENCE.format(name=f"{part}."))
    return moved
