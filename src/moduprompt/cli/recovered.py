"""What a daemon found when it started, in words: a page for those who ask, one line for those who might."""

from collections import Counter
from typing import Final

from moduprompt.cli.live.text import plain
from moduprompt.client import Client, Endpoint, Limits, RequestRefused, Unreachable
from moduprompt.protocol import Fate, RecoveredRun, Recovery

EXPECTED: Final[frozenset[Fate]] = frozenset({"looking", "waiting", "reattached", "ended", "begun"})
SAID: Final[dict[Fate, str]] = {
    "looking": "still looked at",
    "waiting": "waits for room",
    "reattached": "re-attached",
    "ended": "ended meanwhile",
    "lost": "lost",
    "unanswering": "its keeper lives and doesn't answer",
    "begun": "begun only now",
}
QUICK: Final = Limits(connect_s=2.0, answer_s=5.0, patience_s=0)  # one more line is worth no waiting


async def unexpected(endpoint: Endpoint) -> str | None:
    """One line on what was not as expected; None where all was, or where nobody can say."""
    async with Client(
        token=endpoint.token, socket=endpoint.socket, addr=endpoint.addr, limits=QUICK
    ) as client:
        try:
            return to_line(await client.recovery())
        except (RequestRefused, Unreachable):  # a daemon of an older version; or it is just going
            return None


def to_line(found: Recovery) -> str | None:
    """One line, where something was not as expected."""
    fates: Counter[Fate] = Counter(run.fate for run in found.runs)
    parts = [f"{count} {SAID[fate]}" for fate, count in fates.items() if fate not in EXPECTED]
    parts += [f"{len(found.strays)} left alone"] if found.strays else []
    parts += [f"{len(found.missing_worktrees)} worktrees missing"] if found.missing_worktrees else []
    parts += ["not all was compared"] if found.not_compared else []
    return f"{'; '.join(parts)}: mpctl recovery show" if parts else None


def to_page(found: Recovery) -> str:
    """All of it, a line for each thing."""
    lines = [f"start of {found.version} at {found.began_at}: {_length(found)}"]
    lines += [_run(run) for run in found.runs] or ["  no run was live in the log"]
    lines += [f"  keeper of run {run_id}: let go, its end was known" for run_id in found.freed_keepers]
    lines += [
        f"  worktree {each.worktree_id}: its folder {each.path} is missing"
        for each in found.missing_worktrees
    ]
    lines += [f"  {each.kind.replace('_', ' ')} {each.name}: {each.why}; left alone" for each in found.strays]
    lines += [f"  not compared: {why}" for why in found.not_compared]
    lines += [f"  and {found.left_out} more"] if found.left_out else []
    return "\n".join(plain(line) for line in lines)


def _length(found: Recovery) -> str:
    return "still looking" if found.took_ms is None else f"compared within {found.took_ms} ms"


def _run(run: RecoveredRun) -> str:
    facts = [SAID[run.fate]]
    facts += [f"keeper {run.keeper_pid}"] if run.keeper_pid is not None else []
    facts += [f"{run.entries} journal entries taken"] if run.entries else []
    facts += [run.evidence] if run.evidence else []
    facts += [f"ended what was left: {', '.join(run.swept)}"] if run.swept else []
    return f"  run {run.run_id}: {'; '.join(facts)}"
