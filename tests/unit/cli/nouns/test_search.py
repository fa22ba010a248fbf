"""What `mpctl search` shows of a hit."""

from moduprompt.cli.nouns.search import to_marked
from moduprompt.domain.hit import SearchHit
from moduprompt.protocol import WorkspaceId
from moduprompt.views.search_words import to_query, to_snippet


def test_what_matches_stands_in_brackets() -> None:
    hit = SearchHit(
        id="a",
        workspace_id=WorkspaceId("w"),
        version=1,
        created_at="",
        updated_at="",
        kind="task",
        title="mend the parser",
        snippet=to_snippet(to_query("pars mend"), {"title": "mend the parser"}),
    )

    assert to_marked(hit) == "title: [mend] the [parser]"
