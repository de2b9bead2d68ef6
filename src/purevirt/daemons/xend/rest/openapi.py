"""The OpenAPI 3.1 document, of the same table as the routes: `GET /api/v1/openapi.json`, and docs/openapi.json."""

from __future__ import annotations

from collections import Counter
from typing import Any

from purevirt.daemons.xend.arguments import SCHEMAS, Argument
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.daemons.xend.rest.parameters import Parameter, names_in, parameters
from purevirt.daemons.xend.rest.routes import PREFIX, ROUTES, Route
from purevirt.daemons.xend.rest.schemas import Schemas

__all__ = ["document"]

_UUID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

_ERROR: dict[str, object] = {
    "type": "object",
    "description": "What went wrong.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "message", "operation", "domain", "channel", "detail"],
            "properties": {
                "kind": {"type": "string"},
                "message": {"type": "string"},
                "operation": {"type": ["string", "null"]},
                "domain": {"type": ["string", "null"]},
                "channel": {"type": ["string", "null"]},
                "detail": {},
            },
        }
    },
}

_HEADERS = {
    "put": (("If-Match", "The revision that is changed, as its ETag says it, or *."),
            ("If-None-Match", "*: it must not be defined yet.")),
    "delete": (("If-Match", "The revision that is meant, as its ETag says it."),),
    "text": (("If-None-Match", "The revision that the caller has: 304 if it is the newest."),),
    "events": (("Last-Event-ID", "The number of the event that was seen last; counts before since."),),
}  # fmt: skip

_WORDS = {202: "It is being done, by the job that Location names.", 204: "Done."}


def document() -> dict[str, Any]:
    """The whole of it, as `json.dumps` takes it."""
    schemas = Schemas()
    schemas.components["Error"] = _ERROR
    count = Counter(route.operation for route in ROUTES)
    paths: dict[str, dict[str, object]] = {}
    for route in ROUTES:
        unique = route.operation and count[route.operation] == 1
        name = route.operation if unique else "_".join(filter(None, (route.operation, route.how)))
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route, name, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "purevirt",
            "version": "1",
            "description": "The Xen daemon's REST interface. Who calls is told by the connection.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": {
                "Error": {
                    "description": "It was not done.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }


def _operation(route: Route, name: str, schemas: Schemas) -> dict[str, object]:
    role = OPERATIONS[route.operation].role.name.lower() if route.operation else "none"
    found: dict[str, object] = {
        "operationId": name,
        "tags": [route.path.split("/")[1] or "index"],
        "summary": route.summary,
        "x-role": role,
    }
    known = parameters(route)
    places = [*_domain(route), *(_parameter(one) for one in known if one.place != "body"), *_headers(route)]
    if places:
        found["parameters"] = places
    body = [one for one in known if one.place == "body"]
    if route.method in ("POST", "PUT", "PATCH"):
        found["requestBody"] = _body(body)
    found["responses"] = _responses(route, schemas)
    return found


def _domain(route: Route) -> list[dict[str, object]]:
    if "uuid" not in names_in(route.path):
        return []
    schema = {"type": "string", "format": "uuid", "pattern": _UUID_PATTERN}
    return [{"name": "uuid", "in": "path", "required": True, "schema": schema}]


def _parameter(one: Parameter) -> dict[str, object]:
    found: dict[str, object] = {"name": one.name, "in": one.place, "schema": dict(_schema(one.argument))}
    if one.place == "path" or one.argument.required:
        found["required"] = True
    if one.place == "path" and SCHEMAS[one.argument.read].get("type") == "string":
        found["schema"] = {**_schema(one.argument), "minLength": 1}
    if SCHEMAS[one.argument.read]["type"] == "array":
        found |= {"style": "form", "explode": False}
    return found


def _schema(argument: Argument) -> dict[str, object]:
    found = dict(SCHEMAS[argument.read])
    if not argument.required and isinstance(argument.default, (bool, int, float, str)):
        found["default"] = argument.default
    return found


def _headers(route: Route) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "header", "required": False, "description": words, "schema": {"type": "string"}}
        for name, words in _HEADERS.get(route.how, ())
    ]


def _body(known: list[Parameter]) -> dict[str, object]:
    required = [one.name for one in known if one.argument.required]
    properties: dict[str, object] = {}
    for one in known:
        schema = _schema(one.argument)
        if not one.argument.required:  # null is the same as absent
            schema = {"anyOf": [schema, {"type": "null"}]}
        properties[one.name] = schema
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _responses(route: Route, schemas: Schemas) -> dict[str, object]:
    status = route.status
    found: dict[str, object] = {"description": _WORDS.get(status, "As it is.")}
    if route.how == "events":
        found["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
        schemas.of(route.answers)
    elif route.answers is not None:
        found["content"] = {"application/json": {"schema": schemas.of(route.answers)}}
    tag = {"ETag": {"description": "The revision.", "schema": {"type": "string"}}}
    where = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
    if route.how in ("job", "new"):
        found["headers"] = where if route.how == "job" else {**tag, **where}
    elif route.how in ("text", "put"):
        found["headers"] = tag
    responses: dict[str, object] = {str(status): found}
    if route.how == "put":
        responses["201"] = {**found, "description": "It was not defined before.", "headers": {**tag, **where}}
    if route.how == "text":
        responses["304"] = {"description": "The caller has it already.", "headers": tag}
    responses["default"] = {"$ref": "#/components/responses/Error"}
    return responses
