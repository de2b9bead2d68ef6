"""Whatever a call says: one answer, of the one shape, and never a fault of the daemon's own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purevirt.daemons.xend.http import Request
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.daemons.xend.rpc import PATH, Rpc
from purevirt.model import Caller
from tests.daemons.xend.world import ADMIN, NOBODY, OPERATOR, READER, both

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 5),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["test", "poweroff", "nmi", "xvda", "vif1.0", "\ud800", "\udcff"]),
    st.just("6695eb01-f6a4-8304-79aa-97f2502e193f"),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({name for operation in OPERATIONS.values() for name in operation.arguments})
DOMAINS = st.one_of(
    VALUES,
    st.fixed_dictionaries({}, optional={"domid": SCALARS, "uuid": SCALARS, "name": SCALARS}),
    st.just({"domid": 1}),
)
CALLS = st.fixed_dictionaries(
    {"operation": st.one_of(st.sampled_from(sorted(OPERATIONS)), VALUES)},
    optional={
        "domain": DOMAINS,
        "arguments": st.one_of(VALUES, st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=3)),
        "timeout": st.one_of(st.just(0.05), VALUES),
    },
)
BODIES = st.one_of(st.binary(max_size=30), VALUES.map(json.dumps), CALLS.map(json.dumps)).map(
    lambda body: body.encode() if isinstance(body, str) else body
)


def _in_time(body: bytes) -> bytes:
    """The same call, but none that waits for a guest or for news longer than a test may."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(document, dict) and document.get("operation") in ("shutdown", "reboot", "journal"):
        document["timeout"] = 0.01
    return json.dumps(document).encode()


def test_whatever_a_call_says(tmp_path: Path) -> None:
    async def main() -> None:
        async with both(tmp_path) as (_, daemon):
            rpc = Rpc(daemon.supervisor)
            loop = asyncio.get_running_loop()

            async def one(body: bytes, caller: Caller) -> None:
                headers = (("content-type", "application/json"),)
                response = await rpc.handle(Request("POST", PATH, headers, body, caller))
                document = json.loads(response.body)
                if response.status == 200:
                    assert set(document) == {"result"}
                else:
                    assert response.status != 500, document
                    assert set(document) == {"error"}
                    assert "\n" not in document["error"]["message"]

            @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            @given(BODIES.map(_in_time), st.sampled_from([ADMIN, OPERATOR, READER, NOBODY]))
            def fuzz(body: bytes, caller: Caller) -> None:
                asyncio.run_coroutine_threadsafe(one(body, caller), loop).result(20)

            await asyncio.to_thread(fuzz)
            assert await daemon.call("hostname")
            assert len(daemon.supervisor.locks) == 0
            for line in daemon.audit():
                assert line["result"] != "fault", line

    asyncio.run(main())
