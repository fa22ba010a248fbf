"""`mpctl project`."""

import argparse
from pathlib import Path
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.cli.lookup import find_item, namesakes_told, workspace_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.client import first_event
from moduprompt.domain.project.commands import (
    ArchiveProject,
    AttachRepository,
    CreateProject,
    DetachRepository,
    RenameProject,
)
from moduprompt.domain.project.events import ProjectCreated
from moduprompt.domain.project.view import ProjectItem
from moduprompt.protocol import Code, ProjectId, RepositoryId

COLUMNS: Final[tuple[Column[ProjectItem], ...]] = (
    ("ID", lambda item: item.id),
    ("NAME", lambda item: item.name),
    ("STATUS", lambda item: item.status),
    ("REPOSITORIES", lambda item: ", ".join(each.path for each in item.repositories)),
)


async def _create(call: Call) -> None:
    repo = call.words.maybe("repo")
    command = CreateProject(
        workspace_id=await workspace_of(call),
        name=call.words.text("name"),
        repository=None if repo is None else _absolute(repo),
    )
    accepted = await call.submit(command)
    made = first_event(accepted, ProjectCreated)
    shared = await namesakes_told(call, ProjectItem, made.name, of=command.workspace_id)
    call.answer(accepted, f"project {made.project_id} {made.name}", *to_sentences(accepted)[1:], *shared)


async def _list(call: Call) -> None:
    of = await workspace_of(call)
    await call.show_list(ProjectItem, COLUMNS, of=of, empty="no project yet: mpctl project create NAME")


async def _show(call: Call) -> None:
    item = await _named_project(call)
    facts = [("id", item.id), ("status", item.status), ("version", str(item.version))]
    facts += [("repository", f"{each.path} on {each.branch}") for each in item.repositories]
    await call.show_item(item, to_paragraph(item.name, facts))


async def _attach(call: Call) -> None:
    item = await _named_project(call)
    accepted = await call.submit(
        AttachRepository(
            workspace_id=item.workspace_id,
            project_id=ProjectId(item.id),
            repository=_absolute(call.words.text("path")),
        )
    )
    call.answer(accepted, *to_sentences(accepted, item))


async def _detach(call: Call) -> None:
    item = await _named_project(call)
    accepted = await call.submit(
        DetachRepository(
            workspace_id=item.workspace_id,
            project_id=ProjectId(item.id),
            repository_id=_repository_of(item, call.words.text("path")),
        )
    )
    call.answer(accepted, *to_sentences(accepted, item))


async def _rename(call: Call) -> None:
    item = await _named_project(call)
    accepted = await call.submit(
        RenameProject(
            workspace_id=item.workspace_id, project_id=ProjectId(item.id), name=call.words.text("new_name")
        )
    )
    call.answer(accepted, *to_sentences(accepted, item))


async def _archive(call: Call) -> None:
    item = await _named_project(call)
    accepted = await call.submit(
        ArchiveProject(workspace_id=item.workspace_id, project_id=ProjectId(item.id))
    )
    call.answer(accepted, *to_sentences(accepted, item))


async def _named_project(call: Call) -> ProjectItem:
    return await find_item(call, ProjectItem, call.words.text("name"))


def _absolute(path: str) -> str:
    """The daemon has another working directory than whoever typed the path."""
    return str(Path(path).expanduser().absolute())


def _repository_of(item: ProjectItem, typed: str) -> RepositoryId:
    wanted = {typed, _absolute(typed), str(Path(_absolute(typed)).resolve())}
    for each in item.repositories:
        if each.path in wanted or each.repository_id == typed:
            return RepositoryId(each.repository_id)
    raise failed(
        Code.NOT_FOUND,
        f"project {item.id} has no repository {typed}",
        hint="it has " + (", ".join(each.path for each in item.repositories) or "none"),
        details={"path": typed},
    )


def _new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--repo", metavar="PATH", help="its first git repository")


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="PROJECT", help="id or name")


def _with_path(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("path", metavar="PATH", help="a git repository on the daemon's machine")


def _renamed(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("new_name", metavar="NAME")


VERBS: Final = (
    Verb("create", _create, summary="make a project", arguments=_new),
    Verb("list", _list, summary="list the projects of the workspace", shows_past=True),
    Verb("show", _show, summary="show one, with its repositories", arguments=_one, shows_past=True),
    Verb("attach", _attach, summary="add a repository", arguments=_with_path),
    Verb("detach", _detach, summary="forget a repository; nothing on disk changes", arguments=_with_path),
    Verb("rename", _rename, summary="give it another name", arguments=_renamed),
    Verb("archive", _archive, summary="take no further work", arguments=_one),
)
