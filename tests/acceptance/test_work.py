"""A session's work from end to end through the installed commands."""

import json
from pathlib import Path

from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository

MISUSE_EXIT = 2


def waits_for_input(place: Place, session: str) -> bool:
    return place.ok("session", "explain", session, "--json").json.get("observed") == "waiting_input"


def has_exited(place: Place) -> bool:
    return all(run["status"] == "exited" for run in place.ok("run", "list", "--json").json["items"])


def test_an_agent_asks_is_answered_and_its_branch_is_merged(
    place: Place, repository: Repository, script: Path
) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    place.made("task", "create", "Choose a colour", "-p", "paint")
    place.made("session", "spawn", "painter", "-p", "paint", "--script", str(script))
    place.ok("task", "assign", "Choose a colour", "painter")
    place.ok("task", "start", "Choose a colour")
    eventually(lambda: waits_for_input(place, "painter"))
    place.ok("session", "prompt", "painter", "blue")
    eventually(lambda: has_exited(place))
    for _ in range(4):
        place.ok("task", "advance", "Choose a colour")
    waiting = place.ok("approval", "list", "--waiting", "--json").json["items"]
    assert place.ok("task", "show", "Choose a colour", "--json").json["status"] == "blocked_by_approval"
    place.ok("approval", "grant", waiting[0]["id"][-8:], "--reason", "nice")
    eventually(lambda: place.ok("task", "show", "Choose a colour", "--json").json["status"] == "succeeded")

    assert repository.git("show", "main:colour.txt") == "blue"
    assert place.ok("approval", "list", "--waiting").out == "nothing waits for a decision\n"
    assert "the log holds" in place.ok("log", "verify").out
    tree = place.ok("session", "tree").out
    assert "painter" in tree
    assert "\x1b" not in tree
    run = place.newest_run()
    assert "Which colour?" in place.ok("run", "tail", run).out
    assert "Which colour?" in place.ok("run", "replay", run, "--no-wait").out
    assert "Which colour?" in place.ok("run", "screen", run).out
    assert "Which colour?" not in place.ok("run", "screen", run, "--at", "0").out
    assert "which colour?" in place.ok("run", "grep", "-i", "which", run).out.lower()
    assert place.ok("run", "grep", "no such line", run).out == "no line matches\n"
    assert place.call("mpctl", "run", "grep", "(", run).status == MISUSE_EXIT
    assert json.loads(place.ok("run", "export", run, "--asciicast").out.splitlines()[0])["version"] == 2
    assert place.ok("run", "output", run, "--follow").out == place.ok("run", "output", run).out


def test_a_session_gives_an_account_of_itself_that_people_read(place: Place, repository: Repository) -> None:
    script = place.root / "agent.toml"
    script.write_text(
        "[[step]]\nrun = \"mpctl capsule write status 'half done'; echo wrote=$?\"\n"
        '[[step]]\nrun = "echo all of it | mpctl capsule write status -; mpctl capsule show; echo shown=$?"\n'
        '[[step]]\nrun = "seq 2000 | mpctl capsule write risk -; echo long=$?"\n'
    )
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    session = place.made("session", "spawn", "painter", "-p", "paint", "--script", str(script))
    eventually(lambda: has_exited(place))
    run = place.newest_run()
    printed = place.ok("run", "output", run).out

    for ended in ("wrote=0", "shown=0", "long=8", "has at most 1,000 characters"):
        assert ended in printed
    (told,) = place.ok("capsule", "show", "--session", "painter", "--json").json
    assert (told["kind"], told["text"], told["written_by"]) == ("status", "all of it\n", f"session:{session}")
    shown = place.ok("capsule", "show", "status", "--session", "painter").out
    assert shown.startswith("status, ")
    assert shown.endswith("\n\nall of it\n")
    assert "status" in place.ok("capsule", "list").out
    missing = place.call("mpctl", "capsule", "show", "risk", "--session", "painter")
    assert (missing.status, "has no risk capsule" in missing.err) == (5, True)


def test_inside_a_run_the_command_speaks_as_its_session_and_may_not_approve(
    place: Place, repository: Repository
) -> None:
    script = place.root / "agent.toml"
    script.write_text(
        '[[step]]\nrun = ["mpctl", "session", "show", "--json"]\n'
        '[[step]]\nrun = "mpctl workspace create mine; echo create=$?; mpctl daemon status; echo status=$?"\n'
        '[[step]]\nrun = "mpctl daemon stop; echo stop=$?; mpctl daemon start; echo start=$?"\n'
        '[[step]]\nrun = "mpctl log verify; echo verify=$?"\n'
        '[[step]]\nrun = "mpctl approval grant 01a20428-cfd0-743f-9909-410f8878ec57; echo grant=$?"\n'
    )
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    session = place.made("session", "spawn", "painter", "-p", "paint", "--script", str(script))
    eventually(lambda: has_exited(place))
    run = place.newest_run()
    printed = place.ok("run", "output", run).out

    assert f'"id":"{session}"' in printed.replace("\r\n", "").replace("  │ ", "")
    for ended in ("create=6", "status=0", "stop=6", "start=6", "verify=6"):
        assert ended in printed
    assert "grant=5" in printed or "grant=6" in printed


def test_the_log_is_followed_over_a_daemon_that_is_killed(place: Place) -> None:
    place.made("workspace", "create", "core")
    watching = place.begin("mpctl", "events", "watch", "--json")
    assert watching.stdout is not None
    seen = [json.loads(watching.stdout.readline())["seq_global"]]
    for number in range(5):
        place.kill_daemon()
        place.ok("workspace", "rename", "core" if number == 0 else f"core{number - 1}", f"core{number}")
        seen.append(json.loads(watching.stdout.readline())["seq_global"])
    watching.terminate()
    watching.communicate(timeout=60)

    assert seen == [1, 2, 3, 4, 5, 6]
    assert "the log holds" in place.ok("log", "verify").out


def test_a_name_may_be_shortened_and_an_ambiguous_one_names_its_candidates(place: Place) -> None:
    place.made("workspace", "create", "core")
    one = place.made("project", "create", "twin")
    two = place.made("project", "create", "twin")

    said = place.mpctl("project", "show", "twin", "--json")

    assert said.status == 8
    assert said.json["code"] == "validation_failed"
    assert said.json["details"]["candidates"] == [one, two]
    assert place.ok("project", "show", one[-8:], "--json").json["id"] == one
    assert place.ok("project", "show", one, "--json").json["id"] == one
    assert place.mpctl("project", "show", "zzzz").status == 5
    assert place.mpctl("project", "show", one[-3:]).status == 5


def test_several_workspaces_want_to_be_told_apart(place: Place) -> None:
    assert place.mpctl("project", "list").status == 5
    place.made("workspace", "create", "one")
    place.made("workspace", "create", "two")

    refused = place.mpctl("project", "list")
    place.ok("project", "list", "-w", "one")
    place.ok("-w", "two", "project", "create", "p")

    assert refused.status == 8
    assert "one" in refused.err
    assert place.ok("project", "list", environ={"MP_WORKSPACE": "two"}, stdin="").out.count("\n") == 2


def test_what_agents_write_can_not_act_on_a_terminal(place: Place, repository: Repository) -> None:
    script = place.root / "rude.sh"
    script.write_text("printf 'a\\033]0;owned\\007b\\033[2Jc\\n'\n")
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    place.made("session", "spawn", "rude", "-p", "paint", "--", "sh", str(script))
    eventually(lambda: has_exited(place))
    run = place.newest_run()

    assert place.ok("run", "tail", run).out == "abc\n"
    assert "\x1b]0;owned" in place.ok("run", "output", run).out
    assert place.ok("run", "output", run, "--json").json["text"] == "abc\n"


def test_what_a_program_on_pipes_says_beside_its_output_is_shown(
    place: Place, repository: Repository
) -> None:
    """Any program of that name is codex here."""
    program = place.root / "bin" / "codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho out; printf 'one\\ntwo\\033[2J\\nthree' >&2\n")
    program.chmod(0o755)
    path = f"{program.parent}:{place.environ['PATH']}"
    place.ok("workspace", "create", "core", environ={"PATH": path})
    place.made("project", "create", "paint", "--repo", str(repository.path))
    place.made("session", "spawn", "piped", "-p", "paint", "--agent", "codex", "--prompt", "go")
    eventually(lambda: has_exited(place))
    run = place.newest_run()

    assert place.ok("run", "tail", run, "--stderr", "-n", "2").out == "two\nthree\n"
    assert place.ok("run", "tail", run).out == "out\n"
    assert place.ok("run", "tail", run, "-n", "0", "--json").json["lines"] == []
    assert place.mpctl("run", "tail", run, "--stderr", "--follow").status == 2


def test_json_is_the_only_thing_on_standard_output(place: Place) -> None:
    refused = place.mpctl("workspace", "show", "nobody", "--json")
    made = place.ok("workspace", "create", "core", "--json")

    assert refused.json["code"] == "not_found"
    assert refused.err == ""
    assert made.json["accepted"] is True
    assert made.json["events"][0]["event_type"] == "workspace.created"


def test_a_call_gives_up_when_its_time_is_over(place: Place) -> None:
    place.made("workspace", "create", "core")

    said = place.mpctl("--timeout", "0.3", "events", "watch", "--from", "head")

    assert (said.status, said.out) == (124, "")
    assert said.err.startswith("error: not done within 0.3 s")


def test_a_reader_that_goes_away_is_no_error(place: Place) -> None:
    place.made("workspace", "create", "core")
    said = place.call("sh", "-c", "mpctl log show | true; mpctl events list --json | head -1")

    assert said.status == 0
    assert said.err == ""


def test_both_transports_bring_the_same_events(place: Place) -> None:
    place.made("workspace", "create", "core")
    place.ok("workspace", "rename", "core", "kern")
    brought: list[list[str]] = []
    for transport in ("sse", "ndjson"):
        watching = place.begin("mpctl", "events", "watch", "--json", "--transport", transport)
        assert watching.stdout is not None
        brought.append([watching.stdout.readline() for _ in range(2)])
        watching.terminate()
        watching.communicate(timeout=60)

    assert brought[0] == brought[1]
    assert brought[0] == place.ok("events", "list", "--json").out.splitlines(keepends=True)


def test_output_is_followed_to_its_end_over_a_daemon_that_is_killed(
    place: Place, repository: Repository
) -> None:
    script = place.root / "count.sh"
    script.write_text("for i in $(seq 1 40); do echo line $i; sleep 0.05; done\n")
    place.made("workspace", "create", "core")
    place.made("project", "create", "p", "--repo", str(repository.path))
    place.made("session", "spawn", "counter", "-p", "p", "--", "sh", str(script))
    run = place.newest_run()
    eventually(lambda: place.ok("run", "show", run, "--json").json["status"] == "started")
    with place.begin("mpctl", "run", "output", run, "--follow") as following:
        assert following.stdout is not None
        first = following.stdout.readline()
        place.kill_daemon()
        rest = following.stdout.read()  # not communicate: it would pass over what readline has buffered

    assert following.returncode == 0
    assert (first + rest).split() == [word for i in range(1, 41) for word in ("line", str(i))]


def test_a_locale_without_our_signs_is_no_fault(place: Place) -> None:
    place.made("workspace", "create", "tür→")
    latin = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    assert "t\\xfcr\\u2192" in place.ok("workspace", "list", environ=latin).out
    assert place.ok("workspace", "list", "--json", environ=latin).json["items"][0]["name"] == "tür→"
    assert place.ok("events", "list", environ=latin).status == 0


def test_a_prompt_may_come_from_standard_input(place: Place, repository: Repository, script: Path) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "p", "--repo", str(repository.path))
    place.made("session", "spawn", "painter", "-p", "p", "--script", str(script))

    assert place.mpctl("session", "prompt", "painter", "-", stdin=b"\xff").status == 2
    assert place.mpctl("session", "prompt", "painter", "-").status == 2
    place.ok("session", "prompt", "painter", "-", stdin="green")
    eventually(lambda: has_exited(place))
    state = place.ok("session", "show", "painter", "--json").json["prompts"][0]["state"]
    assert state in ("submitted", "turn_observed")  # a program may end before anybody sees that it has read


def test_a_prompt_that_nobody_hears_yet_says_what_to_type(
    place: Place, repository: Repository, script: Path
) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "p", "--repo", str(repository.path))
    session = place.made("session", "spawn", "painter", "-p", "p", "--script", str(script))
    assert "mpctl run start" not in place.ok("session", "prompt", "painter", "green").out
    eventually(lambda: has_exited(place))

    said = place.ok("session", "prompt", "painter", "blue").out

    assert f"mpctl run start {session[-8:]}" in said
