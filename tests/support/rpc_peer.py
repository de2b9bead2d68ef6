"""A daemon of this test: the real socket, HTTP and JSON; behind them, Python functions, or a driver of the same
host."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from purevirt._run import run_blocking
from purevirt.channels.xend import SOCKET
from purevirt.daemons.xend.arguments import read_arguments
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.drivers.xen.driver import XenDriver
from purevirt.drivers.xen.open import open_driver
from purevirt.errors import Unsupported, XenError
from purevirt.formats import xend_json
from purevirt.formats.xend_json import Call
from purevirt.model import Access, Caller, Role
from tests.support.http_peer import Answer, HttpPeer, Received, answer

__all__ = ["RpcPeer"]

Function = Callable[[Call], object]


class RpcPeer(HttpPeer):
    """Below `root`. An operation is answered by `functions`, else, where it reads, by a driver of that host."""

    def __init__(
        self, root: str, functions: Mapping[str, Function] | None = None, *, role: Role = Role.ADMIN
    ) -> None:
        self.root = root
        self.calls: list[Call] = []
        self.functions: dict[str, Function] = {"whoami": lambda _: Caller(1000, 1000, 1, role)}
        self.functions.update(functions or {})
        self._driver: XenDriver | None = None
        self._turn = threading.Lock()
        path = Path(root + SOCKET)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        super().__init__(str(path), self._answer)

    @property
    def operations(self) -> list[str]:
        """What was asked, but for who asks."""
        return [call.operation for call in self.calls if call.operation != "whoami"]

    def _answer(self, received: Received) -> Answer:
        assert received[:2] == ("POST", "/purevirt/v1/call")
        try:
            call = xend_json.parse_call(json.loads(received[3]))
            self.calls.append(call)
            found = self.functions.get(call.operation)
            result = self._read(call) if found is None else found(call)
        except XenError as error:
            body = json.dumps(xend_json.error_document(error)).encode()
            return answer(body, status=xend_json.status_of(error), reason="Error")
        return answer(json.dumps({"result": xend_json.encode(result)}).encode())

    def _read(self, call: Call) -> Any:
        with self._turn:
            if self._driver is None:
                self._driver = run_blocking(open_driver(self.root, Access.RW, "blocking", 5.0, daemon=False))
            method = getattr(self._driver, call.operation, None)
            if method is None or call.operation not in READS:
                raise Unsupported(f"not in this test: {call.operation}", operation=call.operation)
            about = () if call.domain is None else (call.domain,)
            known = OPERATIONS[call.operation].arguments  # what the real daemon makes of them
            values = read_arguments(call.operation, known, call.arguments)
            return run_blocking(method(*about, *values.values()))

    def close(self) -> None:
        super().close()
        if self._driver is not None:
            run_blocking(self._driver.close())


def _reads() -> set[str]:
    from purevirt.drivers.xen.routes import table

    return {name for name, row in table().items() if not row.change}


READS = _reads()
