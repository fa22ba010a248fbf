"""A daemon on a loop and a thread of its own, for clients that block.

with serving(tmp_path) as daemon:
    requests.get(f"{daemon.url}/v1/daemon/ping")
"""

import asyncio
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from moduprompt.domain.task.commands import CreateTask
from moduprompt.domain.workspace.commands import RenameWorkspace
from tests.support.served import TOKEN, serve_in


class InThread(msgspec.Struct, frozen=True, kw_only=True):
    """Where it listens, and what there is: the ids of one of each noun, by the name that commands call them."""

    url: str
    headers: Mapping[str, str]
    known: Mapping[str, str]


@contextmanager
def serving(folder: Path) -> Generator[InThread]:
    """From the first answer to the last."""
    up: Future[InThread] = Future()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="daemon") as threads:
        living = threads.submit(lambda: asyncio.run(_live(folder, up, loops)))
        living.add_done_callback(
            lambda ended: up.done() or up.set_exception(ended.exception() or SystemExit())
        )
        yield up.result()
        loop, over = loops[0]
        loop.call_soon_threadsafe(over.set)
        living.result()


async def _live(
    folder: Path, up: "Future[InThread]", loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    over = asyncio.Event()
    loops.append((asyncio.get_running_loop(), over))
    async with serve_in(folder, listen="127.0.0.1:0") as daemon:
        workspace = await daemon.make_workspace()
        project = await daemon.make_project(workspace)
        line = await daemon.make_session(workspace, project)
        (made, *_) = await daemon.accepted(
            CreateTask(workspace_id=workspace, project_id=project, title="a task")
        )
        await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="there"))
        known = {
            "workspace_id": str(workspace),
            "project_id": str(project),
            "session_id": str(line.session_id),
            "run_id": str(line.run_id),
            "task_id": made.subject().id,
        }
        up.set_result(
            InThread(
                url=f"http://127.0.0.1:{daemon.port}",
                headers={"Authorization": f"Bearer {TOKEN}", "traceparent": TRACE},
                known=known,
            )
        )
        await over.wait()


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
