"""The table of refusals is the contract's, whole and unchanged."""

import msgspec

from moduprompt.protocol import (
    EXIT_INTERRUPT,
    EXIT_STATUS,
    EXIT_TIMEOUT,
    EXIT_USAGE,
    HTTP_STATUS,
    Code,
    encode,
    invalid,
    missing,
    refusal,
    to_error,
    to_problem,
)

CONTRACT = """
invalid_schema 400 2
unknown_command 400 2
idempotency_key_required 400 2
validation_failed 422 8
expected_version_mismatch 409 3
unauthorized 401 4
not_found 404 5
policy_denied 403 6
unavailable 503 7
unknown 500 1
internal 500 1
"""


def test_every_code_has_the_statuses_of_the_contract() -> None:
    ours = [f"{code.value} {HTTP_STATUS[code]} {EXIT_STATUS[code]}" for code in Code]

    assert ours == CONTRACT.strip().splitlines()
    assert (EXIT_USAGE, EXIT_TIMEOUT, EXIT_INTERRUPT) == (2, 124, 130)


def test_an_error_object_leaves_out_what_it_does_not_have() -> None:
    assert encode(to_error(refusal(Code.UNKNOWN, "what"))) == b'{"code":"unknown","message":"what"}'


def test_a_problem_says_what_the_error_says() -> None:
    error = to_error(invalid("task_not_open", "task 1 is closed", hint="reopen it", task_id="1"), "trace")

    problem = msgspec.json.decode(encode(to_problem(error)))

    assert problem == {
        "type": "urn:moduprompt:error:validation_failed",
        "title": "validation failed",
        "status": 422,
        "detail": "task 1 is closed",
        "code": "validation_failed",
        "details": {"reason": "task_not_open", "task_id": "1"},
        "hint": "reopen it",
        "trace_id": "trace",
    }


def test_what_is_not_there_and_what_may_not_be_seen_are_one_refusal() -> None:
    refused = missing("task", "1")

    assert refused.code is Code.NOT_FOUND
    assert "does not exist or is not visible" in refused.message
