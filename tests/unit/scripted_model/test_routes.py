"""The end of a path says the dialect, so that any base address works."""

import pytest

from moduprompt.scripted_model.routes import route_of


@pytest.mark.parametrize(
    ("target", "dialect", "streamed", "counts"),
    [
        ("/v1/messages?beta=true", "anthropic", False, False),
        ("/v1/messages/count_tokens?beta=true", "anthropic", False, True),
        ("/v1/responses", "responses", False, False),
        ("/openai/v1/chat/completions", "chat", False, False),
        ("/chat/completions/", "chat", False, False),
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini", False, False),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini", True, False),
        ("/v1beta/models/gemini-2.5-pro:countTokens", "gemini", False, True),
    ],
)
def test_the_end_of_the_path_says_the_dialect(
    target: str, dialect: str, streamed: bool, counts: bool
) -> None:
    route = route_of(target)

    assert route is not None
    assert (route.dialect.name, route.is_streamed, route.is_count) == (dialect, streamed, counts)


def test_a_stream_of_gemini_that_is_not_asked_for_as_events_is_a_list() -> None:
    route = route_of("/v1beta/models/m:streamGenerateContent")

    assert route is not None
    assert (route.model, route.is_list, route.is_streamed) == ("m", True, False)


@pytest.mark.parametrize("target", ["/", "/v1/embeddings", "/v1/models", "//", "/models/a:explain"])
def test_nothing_is_anywhere_else(target: str) -> None:
    assert route_of(target) is None
