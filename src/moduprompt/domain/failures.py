"""The closed set of failure classes, and for each whether trying again can help."""

from enum import StrEnum


class FailureClass(StrEnum):
    """Why a run, an operation or an attempt failed; names are the wire's."""

    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    EXIT_NONZERO = "exit_nonzero"
    SIGNALLED = "signalled"
    LOST = "lost"
    SPAWN_FAILED = "spawn_failed"
    PROGRAM_MISSING = "program_missing"
    AUTH_REQUIRED = "auth_required"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    NETWORK = "network"
    PERMISSION_DENIED = "permission_denied"
    POLICY_DENIED = "policy_denied"
    APPROVAL_DENIED = "approval_denied"
    DEPENDENCY_FAILED = "dependency_failed"
    WORKTREE_CONFLICT = "worktree_conflict"
    MERGE_CONFLICT = "merge_conflict"
    BUDGET_EXCEEDED = "budget_exceeded"
    INVALID_OUTPUT = "invalid_output"
    NO_PROGRESS = "no_progress"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


RETRYABLE: frozenset[FailureClass] = frozenset(
    {
        FailureClass.TIMEOUT,
        FailureClass.EXIT_NONZERO,
        FailureClass.SIGNALLED,
        FailureClass.LOST,
        FailureClass.SPAWN_FAILED,
        FailureClass.RATE_LIMITED,
        FailureClass.NETWORK,
        FailureClass.WORKTREE_CONFLICT,
        FailureClass.INVALID_OUTPUT,
        FailureClass.INTERNAL,
    }
)
"""Where another attempt can end differently with nobody changing anything first."""
