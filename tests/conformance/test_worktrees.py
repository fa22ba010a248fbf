"""What every adapter of the `Worktrees` port promises, on real repositories."""

from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.git.port import Worktrees, WorktreeSpec
from tests.support.git_repository import (
    ADAPTERS,
    SALVAGE,
    Repository,
    granted,
    make_repository,
    refused,
    text_of,
    to_commit,
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repository", home=tmp_path / "home")


@pytest.fixture(params=sorted(ADAPTERS))
def worktrees(request: pytest.FixtureRequest, repository: Repository) -> Worktrees:
    return ADAPTERS[request.param](repository.home)


# inspect


async def test_a_repository_tells_its_top_branch_and_head(worktrees: Worktrees, repository: Repository):
    (repository.path / "sub").mkdir()
    facts = granted(await worktrees.inspect(str(repository.path / "sub")))
    assert (facts.path, facts.branch, facts.default_branch) == (str(repository.path), "main", "main")
    assert facts.head == repository.head()
    assert not facts.is_dirty
    assert not facts.is_shallow


async def test_an_untracked_file_makes_a_repository_dirty_and_an_ignored_one_does_not(
    worktrees: Worktrees, repository: Repository
):
    repository.write("build.log", "noise")
    assert not granted(await worktrees.inspect(str(repository.path))).is_dirty
    repository.write("new.txt", "work")
    assert granted(await worktrees.inspect(str(repository.path))).is_dirty


async def test_a_detached_head_has_no_branch(worktrees: Worktrees, repository: Repository):
    repository.git("checkout", "--quiet", "--detach")
    facts = granted(await worktrees.inspect(str(repository.path)))
    assert (facts.branch, facts.default_branch) == (None, "main")


async def test_what_is_no_usable_repository_is_refused_with_its_reason(
    worktrees: Worktrees, repository: Repository, tmp_path: Path
):
    plain, bare, empty, file = (tmp_path / name for name in ("plain", "bare", "empty", "file"))
    plain.mkdir()
    file.write_text("")
    repository.git("init", "--quiet", "--bare", str(bare))
    repository.git("init", "--quiet", str(empty))
    reasons = {
        str(tmp_path / "nowhere"): "path_missing",
        str(plain): "not_a_repository",
        str(file): "not_a_repository",
        str(repository.path / ".git"): "not_a_repository",
        str(bare): "bare_repository",
        str(empty): "empty_repository",
    }
    for path, reason in reasons.items():
        refusal = refused(await worktrees.inspect(path))
        assert (refusal.reason, refusal.path) == (reason, path)
        assert path in refusal.message


# clone


async def test_a_clone_is_whole_and_shares_no_file_with_its_source(
    worktrees: Worktrees, repository: Repository, tmp_path: Path
):
    into = tmp_path / "deep" / "clone"
    facts = granted(await worktrees.clone(str(repository.path), str(into)))
    assert (facts.path, facts.head, facts.branch) == (str(into), repository.head(), "main")
    objects = [file for file in (into / ".git" / "objects").rglob("*") if file.is_file()]
    assert objects
    assert all(file.stat().st_nlink == 1 for file in objects)
    assert [entry.name for entry in into.parent.iterdir()] == ["clone"]


async def test_cloning_twice_gives_the_same_clone(
    worktrees: Worktrees, repository: Repository, tmp_path: Path
):
    into = tmp_path / "clone"
    first = await worktrees.clone(str(repository.path), str(into))
    assert granted(await worktrees.clone(str(repository.path), str(into))) == first


async def test_any_folder_of_a_repository_and_a_bare_one_can_be_cloned(
    worktrees: Worktrees, repository: Repository, tmp_path: Path
):
    bare = tmp_path / "bare.git"
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(bare))
    (repository.path / "sub").mkdir()
    for number, source in enumerate((repository.path / "sub", bare)):
        facts = granted(await worktrees.clone(str(source), str(tmp_path / f"clone{number}")))
        assert facts.head == repository.head()


async def test_a_clone_that_can_not_be_leaves_nothing(
    worktrees: Worktrees, repository: Repository, tmp_path: Path
):
    empty, into = tmp_path / "empty", tmp_path / "out" / "clone"
    repository.git("init", "--quiet", str(empty))
    assert refused(await worktrees.clone(str(empty), str(into))).reason == "empty_repository"
    assert refused(await worktrees.clone(str(tmp_path / "no"), str(into))).reason == "path_missing"
    assert not into.parent.exists() or not list(into.parent.iterdir())


async def test_a_clone_never_takes_a_folder_that_holds_something_else(
    worktrees: Worktrees, repository: Repository, tmp_path: Path
):
    into = tmp_path / "taken"
    into.mkdir()
    (into / "letter").write_text("mine")
    assert refused(await worktrees.clone(str(repository.path), str(into))).reason == "worktree_conflict"
    assert (into / "letter").read_text() == "mine"


# create


async def test_a_worktree_starts_on_a_new_branch_at_its_base(worktrees: Worktrees, repository: Repository):
    first = repository.head()
    repository.commit("later.txt", "later")
    spec = repository.to_create(base=first)
    facts = granted(await worktrees.create(spec))
    assert (facts.path, facts.branch, facts.head) == (spec.path, "mp/one", first)
    assert repository.git("symbolic-ref", "HEAD", at=Path(spec.path)) == "refs/heads/mp/one"


async def test_creating_twice_gives_the_same_worktree_with_the_work_in_it(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    first = granted(await worktrees.create(spec))
    repository.write("draft.txt", "unsaved", at=Path(spec.path))
    assert granted(await worktrees.create(spec)) == first
    assert text_of(spec.path, "draft.txt") == "unsaved"


async def test_a_branch_that_exists_is_not_taken_over(worktrees: Worktrees, repository: Repository):
    repository.git("branch", "mp/one")
    before = repository.snapshot()
    assert refused(await worktrees.create(repository.to_create())).reason == "branch_exists"
    assert repository.snapshot() == before
    assert text_of(repository.to_create().path, ".git") is None


async def test_a_branch_under_an_existing_branch_is_refused(worktrees: Worktrees, repository: Repository):
    repository.git("branch", "mp")
    assert refused(await worktrees.create(repository.to_create())).reason == "branch_exists"


async def test_an_existing_branch_is_checked_out_once_or_shared_on_purpose(
    worktrees: Worktrees, repository: Repository
):
    repository.git("branch", "topic")
    place = str(repository.path)
    first = WorktreeSpec(
        repository=place, path=repository.to_create().path, branch="topic", mode="existing_branch"
    )
    second = WorktreeSpec(
        repository=place, path=repository.to_create("two").path, branch="topic", mode="existing_branch"
    )
    shared = WorktreeSpec(repository=place, path=second.path, branch="topic", mode="shared_branch")
    granted(await worktrees.create(first))
    refusal = refused(await worktrees.create(second))
    assert (refusal.reason, refusal.path) == ("branch_checked_out", first.path)
    assert granted(await worktrees.create(shared)).branch == "topic"
    assert repository.git("symbolic-ref", "-q", "HEAD", at=Path(shared.path), check=False) == ""


async def test_a_base_or_branch_that_is_not_there_is_refused(worktrees: Worktrees, repository: Repository):
    before = repository.snapshot()
    assert refused(await worktrees.create(repository.to_create(base="nowhere"))).reason == "ref_missing"
    path = repository.to_create().path
    missing = WorktreeSpec(repository=str(repository.path), path=path, branch="no", mode="existing_branch")
    assert refused(await worktrees.create(missing)).reason == "ref_missing"
    assert repository.snapshot() == before


@pytest.mark.parametrize("branch", ["", "-b", "a..b", "a b", "x.lock", "@{-1}", "HEAD", "a\nb", "a\0b"])
async def test_a_name_that_git_does_not_allow_is_no_branch(
    worktrees: Worktrees, repository: Repository, branch: str
):
    spec = WorktreeSpec(repository=str(repository.path), path=repository.to_create().path, branch=branch)
    assert refused(await worktrees.create(spec)).reason == "git_failed"


async def test_a_folder_with_something_in_it_becomes_no_worktree(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    repository.write("letter", "mine", at=Path(spec.path))
    assert refused(await worktrees.create(spec)).reason == "worktree_conflict"
    assert text_of(spec.path, "letter") == "mine"
    assert not repository.exists("refs/heads/mp/one")


async def test_a_path_that_is_another_branchs_worktree_is_refused(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    other = WorktreeSpec(repository=spec.repository, path=spec.path, branch="other", base="main")
    assert refused(await worktrees.create(other)).reason == "worktree_conflict"
    assert not repository.exists("refs/heads/other")


async def test_work_that_comes_along_lies_uncommitted_in_the_new_worktree_and_stays_in_the_old_one(
    worktrees: Worktrees, repository: Repository
):
    repository.commit("doomed.txt", "to be deleted")
    repository.commit("deep/kept.txt", "the same in both")
    source = Path(granted(await worktrees.create(repository.to_create())).path)
    repository.write("readme.txt", "changed", at=source)
    repository.write("staged.txt", "staged", at=source)
    repository.git("add", "--", "staged.txt", at=source)
    repository.write("ü new/file.txt", "untracked", at=source)
    repository.write("noise.log", "ignored", at=source)
    (source / "link").symlink_to("readme.txt")
    (source / "doomed.txt").unlink()
    before = repository.git("status", "--porcelain", at=source)

    spec = msgspec.structs.replace(repository.to_create("two", base="mp/one"), work_of=str(source))
    target = Path(granted(await worktrees.create(spec)).path)

    assert repository.git("status", "--porcelain", at=source) == before
    assert repository.head(at=target) == repository.head(at=source)
    assert text_of(target, "readme.txt") == "changed"
    assert text_of(target, "ü new/file.txt") == "untracked"
    assert text_of(target, "staged.txt") == "staged"
    assert text_of(target, "deep/kept.txt") == "the same in both"
    assert (target / "link").is_symlink()
    assert text_of(target, "doomed.txt") is None
    assert text_of(target, "noise.log") is None
    assert repository.git("diff", "--cached", "--name-only", at=target) == ""
    assert granted(await worktrees.create(spec)).path == str(target), "after a crash it is made again"
    assert text_of(target, "readme.txt") == "changed"


async def test_work_comes_along_from_a_clean_worktree_too_and_from_no_other_repository(
    worktrees: Worktrees, repository: Repository, tmp_path: Path
):
    source = granted(await worktrees.create(repository.to_create())).path
    spec = msgspec.structs.replace(repository.to_create("two", base="mp/one"), work_of=source)
    assert repository.git("status", "--porcelain", at=Path(granted(await worktrees.create(spec)).path)) == ""

    other = make_repository(tmp_path / "other", home=repository.home)
    for elsewhere, reason in ((other.path, "worktree_conflict"), (tmp_path / "gone", "path_missing")):
        stranger = msgspec.structs.replace(repository.to_create("three"), work_of=str(elsewhere))
        assert refused(await worktrees.create(stranger)).reason == reason


# commit


async def test_a_commit_takes_changed_new_and_deleted_files_but_no_ignored_ones(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    since = granted(await worktrees.create(spec)).head
    repository.write("new.txt", "new", at=Path(spec.path))
    repository.write("noise.log", "noise", at=Path(spec.path))
    repository.git("rm", "--cached", "readme.txt", at=Path(spec.path))
    repository.git("clean", "--force", "readme.txt", at=Path(spec.path))
    facts = granted(await worktrees.commit(to_commit(spec.path, since=since, message="# Not a comment")))
    assert (facts.commits, facts.commits_total, facts.files_changed) == ((facts.head,), 1, 2)
    assert facts.clean
    assert repository.git("log", "-1", "--format=%an|%ae|%s", at=Path(spec.path)) == (
        "Ada|ada@x.org|# Not a comment"
    )


async def test_commits_that_the_agent_made_are_told_oldest_first_before_ours(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    since = granted(await worktrees.create(spec)).head
    first = repository.commit("a.txt", "a", at=Path(spec.path))
    second = repository.commit("b.txt", "b", at=Path(spec.path))
    repository.write("c.txt", "c", at=Path(spec.path))
    facts = granted(await worktrees.commit(to_commit(spec.path, since=since)))
    assert facts.commits == (first, second, facts.head)
    assert facts.files_changed == 3


async def test_committing_twice_gives_the_same_facts(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    since = granted(await worktrees.create(spec)).head
    repository.write("a.txt", "a", at=Path(spec.path))
    first = granted(await worktrees.commit(to_commit(spec.path, since=since)))
    assert granted(await worktrees.commit(to_commit(spec.path, since=since))) == first


async def test_nothing_to_commit_is_no_error(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    since = granted(await worktrees.create(spec)).head
    facts = granted(await worktrees.commit(to_commit(spec.path, since=since)))
    assert (facts.head, facts.commits, facts.files_changed, facts.clean) == (since, (), 0, True)


# merge


async def test_a_merge_advances_a_checked_out_branch_with_its_files(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    theirs = repository.commit("feature.txt", "feature", at=Path(spec.path))
    before = repository.head()
    facts = granted(await worktrees.merge(repository.to_merge("mp/one")))
    assert (facts.head_before, facts.head_after, facts.already_merged) == (before, repository.head(), False)
    assert facts.merge_commit == facts.head_after
    assert repository.git("log", "-1", "--format=%P %an %s") == f"{before} {theirs} Ada Merge mp/one"
    assert (repository.path / "feature.txt").read_text() == "feature"
    assert repository.git("status", "--porcelain") == ""


async def test_a_merge_advances_a_branch_that_is_checked_out_nowhere(
    worktrees: Worktrees, repository: Repository
):
    repository.git("branch", "integration")
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.commit("feature.txt", "feature", at=Path(spec.path))
    main = repository.head()
    facts = granted(await worktrees.merge(repository.to_merge("mp/one", into="integration")))
    assert repository.head("integration") == facts.head_after
    assert repository.head() == main


async def test_merging_twice_names_the_same_merge_and_moves_nothing(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.commit("feature.txt", "feature", at=Path(spec.path))
    first = granted(await worktrees.merge(repository.to_merge("mp/one")))
    repository.commit("later.txt", "later")
    again = granted(await worktrees.merge(repository.to_merge("mp/one")))
    assert (again.merge_commit, again.already_merged) == (first.merge_commit, True)
    assert again.head_before == again.head_after == repository.head()


async def test_who_brings_nothing_is_given_nobody_elses_merge(worktrees: Worktrees, repository: Repository):
    other = repository.to_create("other")
    granted(await worktrees.create(other))
    repository.commit("other.txt", "other", at=Path(other.path))
    begun = repository.commit("main.txt", "main")
    granted(await worktrees.create(repository.to_create("empty")))
    repository.git("merge", "--quiet", "--no-edit", begun, at=Path(other.path))
    repository.commit("later.txt", "later")
    granted(await worktrees.merge(repository.to_merge("mp/other")))
    before = repository.head()
    facts = granted(await worktrees.merge(repository.to_merge("mp/empty")))
    assert (facts.merge_commit, facts.tip, facts.already_merged) == (None, begun, True)
    assert repository.head() == before


async def test_a_conflict_names_the_files_and_changes_nothing(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.commit("readme.txt", "theirs", at=Path(spec.path))
    repository.commit("readme.txt", "ours")
    before = repository.snapshot()
    refusal = refused(await worktrees.merge(repository.to_merge("mp/one")))
    assert (refusal.reason, refusal.files) == ("merge_conflict", ("readme.txt",))
    assert "readme.txt" in refusal.message
    assert repository.snapshot() == before


async def test_local_changes_in_the_way_of_a_merge_are_kept_and_named(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.commit("readme.txt", "theirs", at=Path(spec.path))
    repository.commit("fresh.txt", "theirs", at=Path(spec.path))
    repository.write("readme.txt", "half-typed")
    repository.write("fresh.txt", "mine")
    before = repository.snapshot()
    refusal = refused(await worktrees.merge(repository.to_merge("mp/one")))
    assert (refusal.reason, refusal.files) == ("dirty_repository", ("fresh.txt", "readme.txt"))
    assert repository.snapshot() == before
    assert (repository.path / "readme.txt").read_text() == "half-typed"


async def test_an_ignored_file_in_the_way_of_a_merge_is_kept_and_named(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.write("key.log", "theirs", at=Path(spec.path))
    repository.git("add", "--force", "key.log", at=Path(spec.path))
    repository.git("commit", "--quiet", "--message", "A key", at=Path(spec.path))
    repository.write("key.log", "mine, and nowhere else")
    before = repository.snapshot()
    refusal = refused(await worktrees.merge(repository.to_merge("mp/one")))
    assert (refusal.reason, refusal.files) == ("dirty_repository", ("key.log",))
    assert repository.snapshot() == before
    assert text_of(repository.path, "key.log") == "mine, and nowhere else"
    repository.write("key.log", "theirs")
    granted(await worktrees.merge(repository.to_merge("mp/one")))
    assert repository.git("status", "--porcelain") == ""


async def test_local_changes_elsewhere_do_not_hinder_a_merge(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.commit("feature.txt", "feature", at=Path(spec.path))
    repository.write("readme.txt", "half-typed")
    granted(await worktrees.merge(repository.to_merge("mp/one")))
    assert (repository.path / "readme.txt").read_text() == "half-typed"


async def test_a_merge_of_or_into_what_is_not_there_is_refused(worktrees: Worktrees, repository: Repository):
    assert refused(await worktrees.merge(repository.to_merge("no"))).reason == "ref_missing"
    assert refused(await worktrees.merge(repository.to_merge("main", into="no"))).reason == "ref_missing"


# remove


async def test_a_worktree_with_nothing_of_its_own_goes_without_a_salvage(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.write("noise.log", "ignored", at=Path(spec.path))
    facts = granted(await worktrees.remove(repository.to_remove(spec.path)))
    assert (facts.salvage_ref, facts.salvage_commit) == (None, None)
    assert list(Path(spec.path).parent.iterdir()) == []
    assert spec.path not in repository.git("worktree", "list")
    assert repository.exists("refs/heads/mp/one")


async def test_uncommitted_untracked_and_unmerged_work_is_saved_before_a_removal(
    worktrees: Worktrees, repository: Repository
):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    unmerged = repository.commit("unmerged.txt", "unmerged", at=Path(spec.path))
    repository.write("readme.txt", "changed", at=Path(spec.path))
    repository.write("deep/untracked.txt", "untracked", at=Path(spec.path))
    repository.write("noise.log", "ignored", at=Path(spec.path))
    facts = granted(await worktrees.remove(repository.to_remove(spec.path)))
    ref = SALVAGE
    assert (facts.salvage_ref, facts.salvage_commit) == (ref, repository.head(ref))
    assert repository.git("show", f"{ref}:readme.txt") == "changed"
    assert repository.git("show", f"{ref}:deep/untracked.txt") == "untracked"
    assert repository.head(f"{ref}^1") == unmerged
    assert not repository.exists(f"{ref}:noise.log")
    assert text_of(spec.path, ".git") is None


async def test_unmerged_commits_alone_are_saved_as_they_are(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    unmerged = repository.commit("unmerged.txt", "unmerged", at=Path(spec.path))
    facts = granted(await worktrees.remove(repository.to_remove(spec.path)))
    assert facts.salvage_commit == unmerged


async def test_merged_work_needs_no_salvage(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.commit("feature.txt", "feature", at=Path(spec.path))
    granted(await worktrees.merge(repository.to_merge("mp/one")))
    assert granted(await worktrees.remove(repository.to_remove(spec.path))).salvage_ref is None


async def test_removing_twice_gives_the_same_facts(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.write("draft.txt", "draft", at=Path(spec.path))
    first = granted(await worktrees.remove(repository.to_remove(spec.path)))
    assert granted(await worktrees.remove(repository.to_remove(spec.path))) == first


async def test_only_a_worktree_can_be_removed(worktrees: Worktrees, repository: Repository, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter").write_text("mine")
    for path in (str(repository.path), str(other)):
        assert refused(await worktrees.remove(repository.to_remove(path))).reason == "worktree_conflict"
    assert (other / "letter").read_text() == "mine"
    assert (repository.path / "readme.txt").exists()


async def test_a_worktree_that_a_person_locked_stays(worktrees: Worktrees, repository: Repository):
    spec = repository.to_create()
    granted(await worktrees.create(spec))
    repository.git("worktree", "lock", "--reason", "on my stick", spec.path)
    refusal = refused(await worktrees.remove(repository.to_remove(spec.path)))
    assert refusal.reason == "worktree_conflict"
    assert "on my stick" in refusal.message
    assert text_of(spec.path, "readme.txt")


# status


async def test_a_status_counts_each_kind_of_change(worktrees: Worktrees, repository: Repository):
    assert granted(await worktrees.status(str(repository.path))).is_clean
    repository.write("staged.txt", "staged")
    repository.git("add", "staged.txt")
    repository.write("readme.txt", "changed")
    repository.write("untracked.txt", "untracked")
    facts = granted(await worktrees.status(str(repository.path)))
    assert (facts.staged, facts.unstaged, facts.untracked, facts.conflicted) == (1, 1, 1, 0)
    assert (facts.branch, facts.head) == ("main", repository.head())
    assert not facts.is_clean
