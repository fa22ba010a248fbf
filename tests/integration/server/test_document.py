# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOptionalIterable=false, reportMissingTypeArgument=false, reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownParameterType=false
# schemathesis leaves some of its types open.
"""The document that is served, taken at its word by a program that never saw the daemon.

schemathesis makes requests from the document alone, well-formed and deliberately not, and compares every answer
with what the document promises. Half of the well-formed ones are about things that exist. The seeds are fixed.
"""

import json
from collections.abc import Generator, Mapping

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from moduprompt.protocol import encode
from moduprompt.server.openapi import openapi
from tests.support.served_in_thread import InThread, serving

EXAMPLES = 12
EXAMPLES_OF_COMMANDS = 40  # they have a shape for each type
UNHURRIED = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
PATIENCE_S = 60  # for one answer; a machine may be busy

load_all_checks()  # they are known by name only after that
KEPT = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
"""Not: that well-formed data are taken. Whether a thing exists and may be done now is no question of form."""
CHECKED = [check for check in CHECKS.get_all() if check.__name__ in KEPT]
WITHOUT_END = ("/v1/events/stream", "/v1/events/stream-ndjson")  # tests/conformance/test_event_streams.py

OPEN = "GET /v1/daemon/ping"  # takes nothing and asks for nothing: it can't be asked wrongly

SCHEMA = schemathesis.openapi.from_dict(json.loads(encode(openapi("1.2.3"))))
OPERATIONS = {
    operation.label: operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
    if operation.path not in WITHOUT_END
}


def make_real(case: Case, known: Mapping[str, str]) -> None:
    """The same request about things that exist."""
    case.query = {**case.query, **{name: known[name] for name in case.query if name in known}}
    noun = f"{case.path.split('/')[2].removesuffix('s')}_id"
    if "id" in case.path_parameters and noun in known:
        case.path_parameters = {**case.path_parameters, "id": known[noun]}
    if "/commands/" in case.path and isinstance(case.body, dict):
        for command in case.body.get("commands", [case.body]):
            payload = command["payload"]
            payload.update({name: known[name] for name in payload if name in known})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Generator[InThread]:
    """One for all: what must hold holds in any state."""
    with serving(tmp_path_factory.mktemp("daemon")) as served:
        yield served


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_promises(daemon: InThread, label: str) -> None:
    operation, statuses = OPERATIONS[label], set[int]()

    @settings(
        max_examples=EXAMPLES_OF_COMMANDS if "/commands/" in label else EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=UNHURRIED,
    )
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), st.booleans())
    def ask(case: Case, about_what_exists: bool) -> None:
        if about_what_exists:
            make_real(case, daemon.known)
        answer = case.call(base_url=daemon.url, headers=dict(daemon.headers), timeout=PATIENCE_S)
        case.validate_response(answer, checks=list(CHECKED))
        statuses.add(answer.status_code)

    ask()
    assert 200 in statuses or "/commands/" not in label, "no command was carried out"


@pytest.mark.parametrize("label", [label for label in OPERATIONS if label != OPEN])
def test_what_the_document_forbids_is_refused(daemon: InThread, label: str) -> None:
    operation = OPERATIONS[label]

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=UNHURRIED)
    @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case: Case) -> None:
        answer = case.call(base_url=daemon.url, headers=dict(daemon.headers), timeout=PATIENCE_S)
        case.validate_response(answer, checks=list(CHECKED))

    ask()
