"""Every limit that a client can meet: its name, its constant, what it says, and what counts it.

One table. `docs/limits.md` is written from it (`make golden`), the metric `mp_refused_total` counts by its
names, and a test fails when a limit lacks a constant with a reason, a metric or an error. A refusal names its
limit in `details.limit`; those of the domain are rules of a noun and name it in `details.reason`.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.protocol import Code, ErrorObject, Rejection

Told: TypeAlias = Code | Literal["cut"]
"""The code of the refusal; a connection that is cut off is not told anything any more."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One bound. `constants` are places in the code, as `module:NAME`; the first one is the bound."""

    name: str
    bounds: str
    constants: tuple[str, ...]
    told: Told
    is_rule: bool = False


LIMITS: Final[tuple[Limit, ...]] = (
    Limit(
        name="inbox",
        bounds="commands that wait for the writer",
        constants=("kernel.inbox:INBOX_MAX",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="reads",
        bounds="reads at once",
        constants=("server.seats:READS_MAX",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="streams",
        bounds="subscriptions in all, and terminals that are watched",
        constants=("server.seats:STREAMS_MAX",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="streams_of_session",
        bounds="subscriptions of one session",
        constants=("server.seats:STREAMS_OF_SESSION_MAX",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="subscriptions",
        bounds="subscriptions on one connection in frames",
        constants=("server.streams.frames:SUBSCRIPTIONS_MAX",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="transfers",
        bounds="bundles on their way at once",
        constants=("server.seats:TRANSFERS_MAX",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="connections",
        bounds="connections in all; less where fewer files may be open",
        constants=("server.connection:CONNECTIONS_MAX", "server.doors:DESCRIPTORS_KEPT"),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="connections_of_run",
        bounds="connections on one run's socket",
        constants=("server.connection:CONNECTIONS_OF_RUN_MAX",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="head_time",
        bounds="seconds until a request's head is there",
        constants=("server.connection:HEAD_S",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="body_time",
        bounds="seconds without a further byte of a body",
        constants=("server.connection:BODY_S",),
        told=Code.UNAVAILABLE,
    ),
    Limit(
        name="reader_stall",
        bounds="seconds in which a reader takes nothing of what waits for it",
        constants=("server.connection:STALL_S",),
        told="cut",
    ),
    Limit(
        name="head_bytes",
        bounds="bytes of a request's line and headers",
        constants=("server.connection:HEAD_BYTES_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="body_bytes",
        bounds="bytes of one command",
        constants=("protocol:COMMAND_BYTES_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="batch_bytes",
        bounds="bytes of a batch",
        constants=("server.routes.commands:BATCH_BYTES_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="batch",
        bounds="commands of a batch",
        constants=("protocol:BATCH_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="bundle_bytes",
        bounds="bytes of a bundle that is imported",
        constants=("server.routes.bundles:BUNDLE_BYTES_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="frame_bytes",
        bounds="bytes of one frame",
        constants=("protocol.framing.stdio:FRAME_BYTES_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="field_length",
        bounds="characters of a text, a name, a reason, a key, a trace id; elements of a list",
        constants=(
            "protocol:TEXT_MAX",
            "protocol:NAME_MAX",
            "protocol:REASON_MAX",
            "protocol:KEY_MAX",
            "protocol:TRACE_ID_MAX",
            "protocol.framing.stdio:REQUEST_ID_MAX",
            "domain.project.commands:PATH_MAX",
            "domain.session.commands:ARGV_MAX",
            "domain.task.stages:STAGES_MAX",
            "domain.task.stages:GATES_MAX",
        ),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="page",
        bounds="items of one page",
        constants=("server.routes.reads:PAGE_MAX", "server.routes.events:PAGE_MAX"),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="patterns",
        bounds="patterns of one filter",
        constants=("server.routes.parameters:PATTERNS_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="query",
        bounds="characters of a search",
        constants=("views.search_words:QUERY_MAX",),
        told=Code.INVALID_SCHEMA,
    ),
    Limit(
        name="prompt_queue_full",
        bounds="prompts that wait in one session",
        constants=("domain.session.prompting:PROMPTS_MAX",),
        told=Code.VALIDATION_FAILED,
        is_rule=True,
    ),
    Limit(
        name="lineage_too_deep",
        bounds="generations of a lineage",
        constants=("domain.session.decide:DEPTH_MAX",),
        told=Code.VALIDATION_FAILED,
        is_rule=True,
    ),
    Limit(
        name="lineage_too_wide",
        bounds="open sessions right below one, or alternatives of one root",
        constants=("domain.session.width:WIDTH_MAX",),
        told=Code.VALIDATION_FAILED,
        is_rule=True,
    ),
    Limit(
        name="too_many_repositories",
        bounds="repositories of a project",
        constants=("domain.project.decide:REPOSITORIES_MAX",),
        told=Code.VALIDATION_FAILED,
        is_rule=True,
    ),
)
RULES: Final = frozenset(limit.name for limit in LIMITS if limit.is_rule)


def limit_of(refused: Rejection | ErrorObject) -> str | None:
    """The name of the limit that refused, or None where it was something else."""
    details = refused.details or {}
    limit, reason = details.get("limit"), details.get("reason")
    if isinstance(limit, str):
        return limit
    return reason if isinstance(reason, str) and reason in RULES else None
