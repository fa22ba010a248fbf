"""A bundle as bytes, made by its writer."""

from __future__ import annotations

import io

from moduprompt.storage.bundle import BundleWriter, Manifest, to_head
from moduprompt.storage.hashing import content_hash
from tests.support.stores import W1

TEXTS = (b"one", b"two" * 400)
LINES = (b'{"a":1}', b'{"b":"' + b"x" * 600 + b'"}')


def a_bundle(lines: tuple[bytes, ...] = LINES, texts: tuple[bytes, ...] = TEXTS) -> bytes:
    """The whole file."""
    body = io.BytesIO()
    writer = BundleWriter(body)
    for line in lines:
        writer.add_events([line])
    writer.end_events()
    for ref, text in sorted((content_hash(text), text) for text in texts):
        writer.add_artifact(ref, (text,), size=len(text))
    events, artifacts = writer.end()
    manifest = Manifest(
        program="1.2.3",
        workspace_id=W1,
        name="home",
        seq=len(lines),
        head_hash=content_hash(lines[-1]),
        state_hash=content_hash(b""),
        events=events,
        artifacts=artifacts,
        missing=(),
    )
    return to_head(manifest) + body.getvalue()
