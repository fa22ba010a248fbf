"""The SDK: speak to a daemon from Python, typed by the definitions the daemon itself is built from.

Public: what stands in `__all__` is pinned by a test and follows the wire's version.

    async with Client(socket=…, token=…) as client:
        made = await client.submit(CreateProject(workspace_id=…, name="core"))
        project = first_event(made, ProjectCreated)
        async for envelope in client.events(workspace_id, from_=made.seq_global):
            ...
"""

from moduprompt.client._answers import envelopes, first_event, to_typed
from moduprompt.client._channel import Limits, Loss, Reconnect
from moduprompt.client._client import AsOf, Client, From, LogHead, to_envelope
from moduprompt.client._collections import ItemPage, collection_of
from moduprompt.client._endpoint import Endpoint
from moduprompt.client._errors import (
    AnswerBroken,
    ClientError,
    CommandRefused,
    RequestRefused,
    Unreachable,
)
from moduprompt.client._stream import Transport, Wanted

__all__ = [
    "AnswerBroken",
    "AsOf",
    "Client",
    "ClientError",
    "CommandRefused",
    "Endpoint",
    "From",
    "ItemPage",
    "Limits",
    "LogHead",
    "Loss",
    "Reconnect",
    "RequestRefused",
    "Transport",
    "Unreachable",
    "Wanted",
    "collection_of",
    "envelopes",
    "first_event",
    "to_envelope",
    "to_typed",
]
