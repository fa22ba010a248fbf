"""What the SDK offers is a promise: a name that goes, or comes by accident, is seen here."""

import moduprompt.client

PROMISED = """
AnswerBroken AsOf Client ClientError CommandRefused Endpoint From ItemPage Limits LogHead Loss Reconnect
RequestRefused Transport Unreachable Wanted collection_of envelopes first_event to_envelope to_typed
"""
CALLS = """
agents artifact batch close events export_log follow_output frames get head import_log list log_head page ping raw_page read
read_events ready rebuild_view recovery run_output run_recording search submit submit_raw views
"""


def test_the_public_names_are_the_promised_ones() -> None:
    assert sorted(moduprompt.client.__all__) == sorted(PROMISED.split())


def test_a_client_has_the_promised_calls() -> None:
    offered = [name for name in vars(moduprompt.client.Client) if not name.startswith("_")]

    assert sorted(offered) == sorted(CALLS.split())
