"""Who may do what: nothing is allowed that no rule allows."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from moduprompt.policy.rights import DEFAULT_RIGHTS, Request, Right, judge, narrowed
from moduprompt.protocol import Actor, ActorKind, Code


def request(
    kind: ActorKind,
    *,
    right: Right | None = None,
    held: tuple[Right, ...] = (),
    is_internal: bool = False,
    is_within: bool = True,
) -> Request:
    return Request(
        actor=Actor(kind=kind, id="a"),
        command_type="x.do",
        is_internal=is_internal,
        right=right,
        held=held,
        scope="within" if is_within else "outside",
    )


def reason(asked: Request) -> object:
    verdict = judge(asked)
    if verdict is None:
        return None
    assert verdict.code is Code.POLICY_DENIED
    return (verdict.details or {})["reason"]


@pytest.mark.parametrize("kind", ["user", "session", "worker", "webhook"])
def test_what_is_the_kernels_own_is_refused_from_everybody_else(kind: ActorKind) -> None:
    assert reason(request(kind, is_internal=True, right=Right.COMMIT, held=DEFAULT_RIGHTS)) == "kernel_only"


def test_the_kernel_may_send_what_is_its_own() -> None:
    assert judge(request("system", is_internal=True)) is None


def test_a_user_may_do_what_is_not_the_kernels_own() -> None:
    assert judge(request("user", is_within=False)) is None


@pytest.mark.parametrize("kind", ["worker", "webhook"])
def test_other_kinds_of_actors_may_do_nothing_yet(kind: ActorKind) -> None:
    assert reason(request(kind, right=Right.COMMIT, held=DEFAULT_RIGHTS)) == "actor_kind"


def test_a_session_needs_an_order_open_to_sessions_a_right_and_its_lineage() -> None:
    assert reason(request("session", held=DEFAULT_RIGHTS)) == "never_for_sessions"
    assert reason(request("session", right=Right.COMMIT, held=(Right.SPAWN,))) == "right_missing"
    outside = request("session", right=Right.COMMIT, held=DEFAULT_RIGHTS, is_within=False)
    assert reason(outside) == "outside_lineage"
    assert judge(request("session", right=Right.COMMIT, held=(Right.COMMIT,))) is None


def test_every_kind_of_actor_has_a_verdict() -> None:
    for kind, is_internal in itertools.product(get_args(ActorKind), (True, False)):
        judge(request(kind, is_internal=is_internal))


def test_a_child_never_holds_more_than_its_parent() -> None:
    for size in range(len(DEFAULT_RIGHTS) + 1):
        held = DEFAULT_RIGHTS[:size]
        assert narrowed(None, held) == held
        assert narrowed(DEFAULT_RIGHTS, held) == held
        assert narrowed((), held) == ()
    assert narrowed((Right.COMMIT, Right.SPAWN), (Right.SPAWN,)) == (Right.SPAWN,)
