"""Every route held to the OpenAPI document by schemathesis: on a simulated host, over the real socket.

Each case is sent twice: as it is made up, about a domain that is most likely not there, and about one that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks as conformance

from purevirt import testing
from purevirt.daemons.xend.rest.openapi import document
from tests.daemons.xend.managed.machine import UUID_TEXT, WEB

CHECKS: list[Any] = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
    conformance.negative_data_rejection,
    conformance.unsupported_method,
]

ENDLESS = {"journal_events"}  # which never ends: its own tests read it
ELSEWHERE = {"migrate"}  # which runs the command that it is told

CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "phases": {"coverage": {"enabled": False}},
        "checks": {"negative_data_rejection": {"expected-statuses": ["4xx", "5xx"]}},
    }
)
schema = schemathesis.openapi.from_dict(document(), config=CONFIG).exclude(operation_id=sorted(ENDLESS))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with testing.Host() as host:
        transport = httpx.HTTPTransport(uds=f"{host.root}/run/purevirt/rest.sock")
        with httpx.Client(transport=transport, base_url="http://xend", timeout=30) as made:
            yield made


def _send(client: httpx.Client, case: Any) -> httpx.Response:
    prepared: Any = requests.Request(**case.as_transport_kwargs(base_url="http://xend")).prepare()
    return client.request(
        str(prepared.method), str(prepared.url), headers=dict(prepared.headers), content=prepared.body
    )


# The simulated host, on its own thread, draws random numbers while Hypothesis looks whether a strategy does.
@pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)
@schema.parametrize()
@settings(
    max_examples=6,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: Any, client: httpx.Client) -> None:
    operation = case.operation.definition.raw["operationId"]
    if isinstance(case.query, dict) and "wait" in case.query:
        case.query["since"] = -1  # there is always news: nothing is waited for
    answer = _send(client, case)
    assert answer.status_code != 500, answer.text
    case.validate_response(answer, checks=CHECKS)
    if "uuid" not in (case.path_parameters or {}) or operation in ELSEWHERE:
        return
    client.post("/api/v1/definitions", json={"text": WEB})
    client.post(f"/api/v1/domains/{UUID_TEXT}/actions/start")
    case.path_parameters["uuid"] = UUID_TEXT
    answer = _send(client, case)
    assert answer.status_code != 500, answer.text
    case.validate_response(answer, checks=CHECKS[:4])
