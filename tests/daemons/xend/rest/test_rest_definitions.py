"""Entity tags: the second of two editors is told."""

from __future__ import annotations

from uuid import uuid4

from tests.daemons.xend.managed.machine import UUID_TEXT, WEB
from tests.daemons.xend.rest.client import DEFINITION, Rest, on

TEXT = f"{DEFINITION}/text"
MORE = WEB.replace("memory = 64", "memory = 128")


def test_two_editors() -> None:
    async def work(rest: Rest) -> None:
        await rest.define()
        seen = await rest.ask("GET", TEXT)
        assert (seen.headers["etag"], seen.json()["revision"], seen.json()["text"]) == ('"1"', 1, WEB)
        first = await rest.ask("PUT", TEXT, {"text": MORE}, If_Match=seen.headers["etag"])
        assert (first.status_code, first.headers["etag"], first.json()["memory_kib"]) == (200, '"2"', 131072)
        second = await rest.ask("PUT", TEXT, {"text": WEB}, If_Match=seen.headers["etag"])
        assert (second.status_code, second.json()["error"]["kind"]) == (412, "Conflict")
        assert 'revision 2, not "1"' in second.json()["error"]["message"]
        assert (await rest.get(TEXT))["text"] == MORE
        for tags, status in (('W/"2"', 412), ('"7", "2"', 200), ("*", 200), ("2", 412)):
            assert (await rest.ask("PUT", TEXT, {"text": MORE}, If_Match=tags)).status_code == status

    on(work)


def test_a_definition_is_not_changed_blindly() -> None:
    async def work(rest: Rest) -> None:
        assert (await rest.ask("PUT", TEXT, {"text": WEB}, If_Match='"1"')).status_code == 412
        assert (await rest.ask("PUT", TEXT, {"text": WEB}, If_Match="*")).status_code == 412
        made = await rest.ask("PUT", TEXT, {"text": WEB}, If_None_Match="*")
        assert (made.status_code, made.headers["location"]) == (201, f"/api/v1{TEXT}")
        assert (await rest.ask("PUT", TEXT, {"text": WEB})).status_code == 428
        assert (await rest.ask("PUT", TEXT, {"text": WEB}, If_None_Match="*")).status_code == 412
        assert (await rest.ask("PUT", TEXT, {"text": WEB}, If_None_Match='"1"')).status_code == 400
        again = await rest.ask("POST", "/definitions", {"text": WEB})
        assert (again.status_code, again.json()["error"]["kind"]) == (409, "DomainExists")
        assert (await rest.get(DEFINITION))["revision"] == 1

    on(work)


def test_the_path_says_which_domain() -> None:
    async def work(rest: Rest) -> None:
        other = f"/definitions/{uuid4()}/text"
        wrong = await rest.ask("PUT", other, {"text": WEB})
        assert wrong.status_code == 400
        assert f"the description is of domain {UUID_TEXT}" in wrong.json()["error"]["message"]
        bare = "".join(line for line in WEB.splitlines(keepends=True) if not line.startswith("uuid"))
        made = await rest.ask("PUT", TEXT, {"text": bare})
        assert (made.status_code, made.json()["uuid"]) == (201, UUID_TEXT)
        assert UUID_TEXT in (await rest.get(TEXT))["text"]
        assert (await rest.ask("PUT", other, {"text": 5})).status_code == 400
        assert (await rest.ask("PUT", other, {"text": "x", "format": 5})).status_code == 400
        assert (await rest.ask("PUT", other, {"text": WEB, "format": "nonsense"})).status_code == 400

    on(work)


def test_a_text_that_is_known_is_not_sent_again() -> None:
    async def work(rest: Rest) -> None:
        await rest.define()
        same = await rest.ask("GET", TEXT, If_None_Match='"5", W/"1"')
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"1"')
        assert (await rest.ask("GET", TEXT, If_None_Match='"2"')).status_code == 200

    on(work)


def test_only_the_revision_that_is_meant_is_forgotten() -> None:
    async def work(rest: Rest) -> None:
        await rest.define()
        assert (await rest.ask("PUT", TEXT, {"text": MORE}, If_Match='"1"')).status_code == 200
        assert (await rest.ask("DELETE", DEFINITION, If_Match='"1"')).status_code == 412
        assert (await rest.ask("DELETE", DEFINITION, If_Match='"2"')).status_code == 204
        assert (await rest.ask("DELETE", DEFINITION, If_Match='"2"')).status_code == 412
        assert (await rest.ask("DELETE", DEFINITION)).status_code == 404

    on(work)


def test_the_operation_itself_holds_to_the_revision() -> None:
    """Between the look and the change another may have been quicker."""

    async def work(rest: Rest) -> None:
        await rest.define()
        call, quick = rest.xend.supervisor.call, [True]

        async def overtaken(caller: object, operation: str, *rest_: object, **named: object) -> object:
            if operation in ("define", "undefine") and quick:
                quick.clear()
                await rest.xend.call("define", text=MORE)
            return await call(caller, operation, *rest_, **named)  # type: ignore[arg-type]

        rest.xend.supervisor.call = overtaken  # type: ignore[method-assign]
        late = await rest.ask("PUT", TEXT, {"text": WEB}, If_Match='"1"')
        assert (late.status_code, late.json()["error"]["kind"]) == (412, "Conflict")
        quick.append(True)
        late = await rest.ask("DELETE", DEFINITION, If_Match='"2"')
        assert (late.status_code, late.json()["error"]["kind"]) == (412, "Conflict")
        assert (await rest.get(TEXT))["revision"] == 3

    on(work)
