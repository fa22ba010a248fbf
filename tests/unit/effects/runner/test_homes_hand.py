"""What a closed session's programs kept goes as a whole, and it is told when it is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moduprompt.domain.leaving import EraseHome
from moduprompt.domain.session.commands import ReportHomeErased
from moduprompt.effects.runner.homes import Homes
from moduprompt.effects.runner.homes_hand import HomesHand
from moduprompt.protocol import SessionId
from tests.support.fake_runner import WORKSPACE, Reports

SESSION = SessionId("00000000-0000-7000-8000-0000000000c2")
ERASE = EraseHome(name="session/home/erase", workspace_id=WORKSPACE, session_id=SESSION)


async def test_it_is_gone_before_it_is_told(tmp_path: Path) -> None:
    homes, reports = Homes(tmp_path), Reports()
    homes.make_scratch(SESSION)

    assert await HomesHand(reports, runs_dir=tmp_path).carry_out(ERASE) is True

    assert not homes.scratch(SESSION).exists()
    assert [type(each) for each in reports.commands] == [ReportHomeErased]


async def test_what_can_not_be_removed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(_: Path) -> None:
        raise PermissionError(13, "no")

    reports = Reports()
    Homes(tmp_path).make_scratch(SESSION)
    monkeypatch.setattr(shutil, "rmtree", stuck)

    assert await HomesHand(reports, runs_dir=tmp_path).carry_out(ERASE) is False
    assert reports.commands == []
