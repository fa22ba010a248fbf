"""A git that does what it is told, or refuses everything, and remembers what it was asked."""

from __future__ import annotations

from moduprompt.effects.git import port

Spec = port.WorktreeSpec | port.CommitSpec | port.SettleSpec | port.MergeSpec | port.RemoveSpec


class FakeGit:
    """The `Worktrees` of hands under test."""

    def __init__(self, refusal: port.GitRefusal | None = None) -> None:
        self.refusal = refusal
        self.asked: list[Spec] = []
        self.merge_commit: str | None = "m1"

    async def inspect(self, path: str) -> port.RepositoryFacts | port.GitRefusal:
        raise AssertionError(f"nobody asks the hand about {path}")

    async def clone(self, source: str, into: str) -> port.RepositoryFacts | port.GitRefusal:
        raise AssertionError(f"nobody asks the hand to clone {source} into {into}")

    async def status(self, path: str) -> port.StatusFacts | port.GitRefusal:
        raise AssertionError(f"nobody asks the hand about {path}")

    async def create(self, spec: port.WorktreeSpec) -> port.WorktreeFacts | port.GitRefusal:
        self.asked.append(spec)
        return self.refusal or port.WorktreeFacts(path=spec.path, branch=spec.branch, head="c1")

    async def commit(self, spec: port.CommitSpec) -> port.CommitFacts | port.GitRefusal:
        self.asked.append(spec)
        return self.refusal or port.CommitFacts(
            head="c2", branch="mp/one", commits=("c1", "c2"), commits_total=2, files_changed=3, clean=True
        )

    async def settle(self, spec: port.SettleSpec) -> port.SettleFacts | port.GitRefusal:
        self.asked.append(spec)
        return self.refusal or port.SettleFacts(head="c2")

    async def merge(self, spec: port.MergeSpec) -> port.MergeFacts | port.GitRefusal:
        self.asked.append(spec)
        return self.refusal or port.MergeFacts(
            merge_commit=self.merge_commit,
            tip="t1",
            head_before="before",
            head_after="after",
            already_merged=False,
        )

    async def remove(self, spec: port.RemoveSpec) -> port.RemoveFacts | port.GitRefusal:
        self.asked.append(spec)
        return self.refusal or port.RemoveFacts(
            path=spec.path, salvage_ref="refs/mp/salvage/x", salvage_commit="c3"
        )
