"""What is in a program's way, as a failure class: from the status of an HTTP answer, or from its own words."""

import re
from typing import Final

from moduprompt.domain.failures import FailureClass

_OF_STATUS: Final = {
    400: FailureClass.INVALID_OUTPUT,  # our program sent what the model's server can't take
    401: FailureClass.AUTH_REQUIRED,
    402: FailureClass.QUOTA_EXHAUSTED,
    403: FailureClass.AUTH_REQUIRED,
    408: FailureClass.NETWORK,
    429: FailureClass.RATE_LIMITED,
}
SERVER_FAULT: Final = 500  # and above: it may be over in a minute, as a broken line may
# The first that fits counts, so the narrow ones stand first. Only for programs that give no status.
_OF_WORDS: Final = (
    (r"quota|insufficient.?(credit|balance|fund)|credit balance|billing", FailureClass.QUOTA_EXHAUSTED),
    (r"\b429\b|rate.?limit|too many requests|overloaded", FailureClass.RATE_LIMITED),
    (
        r"\b40[13]\b|api.?key|unauthori[sz]ed|authenticat|forbidden|not logged in|sign.?in|log.?in",
        FailureClass.AUTH_REQUIRED,
    ),
    (r"permission|not allowed|denied", FailureClass.PERMISSION_DENIED),
    (
        r"\b5\d\d\b|connect|network|timed? ?out|timeout|unreachable|ECONN|ENOTFOUND|stream|socket|fetch failed",
        FailureClass.NETWORK,
    ),
)
WORDS_MAX: Final = 2_000  # looked at: messages say early what they mean


def failure_of_status(status: int) -> FailureClass:
    """The class of an HTTP status; 0 where there was no answer at all."""
    if status >= SERVER_FAULT or status == 0:
        return FailureClass.NETWORK
    return _OF_STATUS.get(status, FailureClass.INTERNAL)


def failure_of_words(message: str) -> FailureClass:
    """The class of a message, by its words: a guess, for where nothing better is said."""
    found = (name for words, name in _OF_WORDS if re.search(words, message[:WORDS_MAX], re.IGNORECASE))
    return next(found, FailureClass.INTERNAL)
