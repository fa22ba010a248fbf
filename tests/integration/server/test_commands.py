"""Commands over HTTP: the statuses of the contract's table, and what never gets as far as a decision."""

from __future__ import annotations

import asyncio

import h11
import msgspec
import pytest

from moduprompt.domain.project.commands import CreateProject, RenameProject
from moduprompt.domain.run.commands import ReportLost
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.kernel import inbox
from moduprompt.protocol import COMMAND_BYTES_MAX, SYSTEM_WORKSPACE, ProjectId, RunId, WorkspaceId, encode
from tests.support.served import TOKEN, Served, connect, envelope, read_reply

SUBMIT, BATCH = "/v1/commands/submit", "/v1/commands/batch"
NOBODY = "00000000-0000-7000-8000-00000000dead"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def create(name: str = "one") -> CreateWorkspace:
    return CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name=name)


async def test_an_accepted_command_is_answered_with_its_stored_events(daemon: Served) -> None:
    reply = await daemon.submit(create(), trace_id="mine")

    answer = reply.json()
    assert reply.status == 200
    assert answer["accepted"] is True
    assert answer["trace_id"] == "mine"
    assert answer["seq_global"] == 1
    (event,) = msgspec.convert(answer["events"], list[dict[str, object]])
    assert (event["event_type"], event["seq_global"], event["trace_id"]) == ("workspace.created", 1, "mine")
    page = await daemon.get("/v1/events", workspace_id=event["workspace_id"], raw=1)
    assert msgspec.json.decode(page.body)["items"] == [event]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"type": "no.such"}, 400, "unknown_command"),
        ({"schema_version": 2}, 400, "unknown_command"),
        ({"schema_version": 0}, 400, "invalid_schema"),
        ({"idempotency_key": None}, 400, "idempotency_key_required"),
        ({"payload": {}}, 400, "invalid_schema"),
        ({"payload": []}, 400, "invalid_schema"),
        ({"payload": {"workspace_id": SYSTEM_WORKSPACE, "name": "x", "more": 1}}, 400, "invalid_schema"),
        ({"payload": {"workspace_id": NOBODY, "name": "x"}}, 404, "not_found"),
        ({"expected_version": 3}, 409, "expected_version_mismatch"),
        ({"trace_id": None}, 400, "invalid_schema"),
        ({"trace_id": "x" * 129}, 400, "invalid_schema"),
        ({"surprise": True}, 400, "invalid_schema"),
    ],
)
async def test_each_refusal_has_its_code_and_its_status(
    daemon: Served, changes: dict[str, object], status: int, code: str
) -> None:
    reply = await daemon.ask("POST", SUBMIT, body=encode(envelope(create(), **changes)))

    assert (reply.status, reply.code) == (status, code)
    assert "Retry-After" not in reply.headers


async def test_what_no_state_allows_is_unprocessable(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    missing = RenameProject(workspace_id=workspace, project_id=ProjectId(NOBODY), name="x")

    assert (await daemon.submit(missing)).status == 404
    renames = [RenameWorkspace(workspace_id=workspace, name=name) for name in ("a", "b")]
    assert (await daemon.submit(renames[0], idempotency_key="k")).status == 200
    again = await daemon.submit(renames[1], idempotency_key="k")
    assert (again.status, again.code) == (422, "validation_failed")


async def test_what_only_the_kernel_may_order_is_forbidden(daemon: Served) -> None:
    workspace = await daemon.make_workspace()

    reply = await daemon.submit(ReportLost(workspace_id=workspace, run_id=RunId(NOBODY), evidence="so I say"))

    assert (reply.status, reply.code) == (403, "policy_denied")


async def test_a_full_inbox_says_when_to_come_again(daemon: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await daemon.make_workspace()
    monkeypatch.setattr(inbox, "INBOX_MAX", 0)

    reply = await daemon.submit(RenameWorkspace(workspace_id=workspace, name="late"))

    assert (reply.status, reply.code) == (503, "unavailable")
    assert int(reply.headers["retry-after"]) >= 1


async def test_a_key_answers_the_same_again(daemon: Served) -> None:
    first = await daemon.submit(create(), idempotency_key="k")
    second = await daemon.submit(create(), idempotency_key="k", trace_id="another")

    assert first.body == second.body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"type": "x"}',
        b"\xff\xfe",
        b'{"type": "workspace.create", "schema_version": 1, "payload": ' + b"[" * 200_000,
        b"[" * 100_000,
    ],
)
async def test_what_is_no_envelope_gets_the_error_object(daemon: Served, body: bytes) -> None:
    reply = await daemon.ask("POST", SUBMIT, body=body)

    assert (reply.status, reply.code) == (400, "invalid_schema")
    assert "accepted" not in reply.json()
    assert (await daemon.get("/v1/daemon/ready")).status == 200


async def test_a_deep_payload_is_refused_and_the_daemon_lives(daemon: Served) -> None:
    deep = b"[" * 50_000 + b"]" * 50_000
    body = b'{"type":"workspace.create","schema_version":1,"idempotency_key":"k","trace_id":"t","payload":%b}'

    reply = await daemon.ask("POST", SUBMIT, body=body % deep)

    assert (reply.status, reply.code) == (400, "invalid_schema")
    assert (await daemon.submit(create())).status == 200


@pytest.mark.parametrize("path", [SUBMIT, BATCH])
async def test_a_huge_body_is_refused_before_it_is_sent(daemon: Served, path: str) -> None:
    reader, writer = await connect(daemon.socket)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 20000000\r\n\r\n"
    writer.write(head.encode())  # and nothing of the body
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="POST", target=path, headers=[("Host", "x"), ("Content-Length", "0")]))

    reply = await read_reply(reader, http)

    assert (reply.status, reply.code) == (400, "invalid_schema")
    assert reply.headers["connection"] == "close"
    writer.close()


async def test_a_body_without_a_length_is_read_only_up_to_the_bound(daemon: Served) -> None:
    reader, writer = await connect(daemon.socket)
    http = h11.Connection(h11.CLIENT)
    headers = [("Host", "x"), ("Transfer-Encoding", "chunked"), *AUTHORIZED.items()]
    writer.write(http.send(h11.Request(method="POST", target=SUBMIT, headers=headers)) or b"")
    chunk = http.send(h11.Data(data=b"x" * 65_536)) or b""
    sent = 0
    answered = asyncio.create_task(read_reply(reader, http), name="answer")
    while not answered.done() and sent < 64 * COMMAND_BYTES_MAX:
        writer.write(chunk)
        sent += 65_536
        drained = asyncio.ensure_future(writer.drain())
        await asyncio.wait({answered, drained}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        await asyncio.gather(drained, return_exceptions=True)
    reply = await answered

    assert (reply.status, reply.code) == (400, "invalid_schema")
    assert sent < 2 * COMMAND_BYTES_MAX
    writer.close()


async def test_the_sdk_hears_that_its_body_was_too_large(daemon: Served) -> None:
    async with daemon.client() as client:
        with pytest.raises(Exception, match="at most") as refused:
            await client.submit_raw(b"x" * 20_000_000)

    assert getattr(refused.value, "code", None) == "invalid_schema"


async def test_a_trace_comes_from_traceparent_where_none_is_sent(daemon: Served) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    body = encode(envelope(create(), trace_id=None))

    reply = await daemon.ask(
        "POST", SUBMIT, body=body, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    )

    assert reply.json()["trace_id"] == trace


@pytest.mark.parametrize(
    "header", ["", "00-xyz-1-01", f"00-{'0' * 32}-b7ad6b7169203331-01", "00-" + "a" * 31]
)
async def test_a_traceparent_that_is_none_counts_as_none(daemon: Served, header: str) -> None:
    body = encode(envelope(create(), trace_id=None))

    reply = await daemon.ask("POST", SUBMIT, body=body, headers={"traceparent": header})

    assert (reply.status, reply.code) == (400, "invalid_schema")


async def test_an_error_carries_the_trace_of_its_request(daemon: Served) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    reply = await daemon.ask("GET", "/v1/runs", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})

    assert reply.json()["trace_id"] == trace


@pytest.mark.parametrize("refused_as", ["error", "answer"])
async def test_problem_json_says_the_same(daemon: Served, refused_as: str) -> None:
    body = b"{" if refused_as == "error" else encode(envelope(create(), type="no.such"))

    reply = await daemon.ask("POST", SUBMIT, body=body, headers={"Accept": "application/problem+json"})

    problem = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["status"] == reply.status == 400
    assert problem["code"] == ("invalid_schema" if refused_as == "error" else "unknown_command")
    assert problem["detail"]


async def test_a_batch_answers_each_in_order(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    commands = [
        envelope(RenameWorkspace(workspace_id=workspace, name="first")),
        envelope(RenameWorkspace(workspace_id=workspace, name="never"), expected_version=1),
        envelope(CreateProject(workspace_id=workspace, name="core")),
        envelope(CreateProject(workspace_id=workspace, name="x"), payload={"name": "homeless"}),
    ]

    reply = await daemon.ask("POST", BATCH, body=encode({"commands": commands}))

    answers = msgspec.convert(reply.json()["answers"], list[dict[str, object]])
    assert reply.status == 200
    assert [each["accepted"] for each in answers] == [True, False, True, False]
    assert [each.get("seq_global") for each in answers] == [2, None, 4, None]  # 3 is the refusal's own event


async def test_a_batch_of_a_thousand_is_taken_and_one_more_is_not(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    many = [envelope(RenameWorkspace(workspace_id=workspace, name="same")) for _ in range(1_001)]

    too_many = await daemon.ask("POST", BATCH, body=encode({"commands": many}))
    enough = await daemon.ask("POST", BATCH, body=encode({"commands": many[1:]}))

    assert (too_many.status, too_many.code) == (400, "invalid_schema")
    assert enough.status == 200
    assert len(msgspec.convert(enough.json()["answers"], list[object])) == 1_000


async def test_a_batch_is_decided_in_its_order_and_a_key_in_it_works_once(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    commands = [envelope(RenameWorkspace(workspace_id=workspace, name=f"n{number}")) for number in range(600)]
    commands.insert(300, commands[10])  # a repeat of what is, perhaps, not written yet

    reply = await daemon.ask("POST", BATCH, body=encode({"commands": commands}))

    answers = msgspec.convert(reply.json()["answers"], list[dict[str, object]])
    repeated = answers.pop(300)
    assert repeated == answers[10]
    assert [each["seq_global"] for each in answers] == list(range(2, 602))


async def test_a_batch_of_two_workspaces_is_refused_whole(daemon: Served) -> None:
    one, other = await daemon.make_workspace("one"), await daemon.make_workspace("other")
    commands = [envelope(RenameWorkspace(workspace_id=each, name="new")) for each in (one, other)]

    reply = await daemon.ask("POST", BATCH, body=encode({"commands": commands}))

    assert (reply.status, reply.code) == (400, "invalid_schema")
    assert daemon.kernel.feed.head(one) == 1


async def test_a_batch_with_one_broken_envelope_does_nothing(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    commands = [envelope(RenameWorkspace(workspace_id=workspace, name="new")), {"type": "x"}]

    reply = await daemon.ask("POST", BATCH, body=encode({"commands": commands}))

    assert (reply.status, reply.code) == (400, "invalid_schema")
    assert b"/commands/1" in reply.body
    assert daemon.kernel.feed.head(workspace) == 1


async def test_a_fault_of_ours_says_nothing_but_its_trace(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = await daemon.make_workspace()

    async def breaks(_: WorkspaceId) -> None:
        raise KeyError("a secret of the house")

    monkeypatch.setattr(daemon.kernel.cabinet, "find", breaks)
    judged = await daemon.submit(RenameWorkspace(workspace_id=workspace, name="x"), trace_id="mine")
    read = await daemon.get("/v1/runs", workspace_id=workspace)

    assert (judged.status, judged.code, judged.json()["trace_id"]) == (500, "internal", "mine")
    assert (read.status, read.code) == (500, "internal")
    assert b"secret" not in judged.body + read.body
