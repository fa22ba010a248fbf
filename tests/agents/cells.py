"""What can go wrong between a program and its model: one script for each, the same for every program."""

from typing import Final

from tests.support.model_server import scripted

CELLS: Final = {
    "good": scripted(
        {"write": {"path": "hello.txt", "content": "hi\n"}},
        {"bash": "cat hello.txt"},
        {"text": "Done.", "usage": {"input_tokens": 1_000, "cached_tokens": 400, "output_tokens": 20}},
    ),
    "unauthorised": scripted({"status": 401}),
    "rate_limited": scripted({"status": 429, "retry_after_s": 1}),
    "server_fault": scripted({"status": 500}),
    "cut": scripted({"text": "one two three four", "cut": True}),
    "one_fault": scripted({"status": 500, "times": 1, "text": "fine"}),
    "malformed": scripted({"bash": "true", "malformed": True, "times": 1}, {"text": "fine"}),
    "tool_failed": scripted({"bash": "exit 3"}, {"text": "It failed."}),
    "slow": scripted({"text": "one two three", "sleep_s": 1, "drip_s": 0.1}),
}
