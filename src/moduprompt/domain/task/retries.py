"""How a task tries again: how often, for which failures, after how long.

The drawn due time stands in the event, so changed code never changes history. Jitter
follows "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): `full` draws
from the whole delay, `decorrelated` from one to three times the delay before.
"""

from typing import Annotated, Literal

import msgspec

from moduprompt.domain.draws import mixed
from moduprompt.domain.failures import RETRYABLE, FailureClass
from moduprompt.protocol import SECOND

ATTEMPTS_MAX = 100  # beyond it is a loop, not a retry
DELAY_S_MAX = 7 * 24 * 3600  # a week; whoever waits longer should ask a person


class RetryBudget(msgspec.Struct, frozen=True, kw_only=True):
    """One retry budget, owned by the task: as facts hold it, which ignore what they don't know."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=ATTEMPTS_MAX)] = 1
    backoff: Literal["fixed", "exponential"] = "exponential"
    delay_s: Annotated[int, msgspec.Meta(ge=0, le=DELAY_S_MAX)] = 10
    cap_s: Annotated[int, msgspec.Meta(ge=0, le=DELAY_S_MAX)] = 3600
    jitter: Literal["none", "full", "decorrelated"] = "full"
    retry_on: tuple[FailureClass, ...] | None = None

    def allows(self, failure: FailureClass, *, attempt: int) -> bool:
        """Whether there is another attempt after this one failed so."""
        wanted = RETRYABLE if self.retry_on is None else self.retry_on
        return attempt < self.max_attempts and failure in wanted

    def delay_us(self, *, attempt: int, seed: int) -> int:
        """Microseconds until the attempt after this one; drawn from the seed alone."""
        base = self.delay_s * SECOND
        cap = max(base, self.cap_s * SECOND)
        steady = base if self.backoff == "fixed" else min(cap, base * 2 ** (attempt - 1))
        if self.jitter == "full":
            return mixed(seed) % (steady + 1)
        if self.jitter == "decorrelated":
            return min(cap, base + mixed(seed) % (3 * steady - base + 1))
        return steady


class RetryRule(RetryBudget, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same as orders hold it: a field that is not known is refused."""

    def to_budget(self) -> RetryBudget:
        """What the fact says."""
        return RetryBudget(
            max_attempts=self.max_attempts,
            backoff=self.backoff,
            delay_s=self.delay_s,
            cap_s=self.cap_s,
            jitter=self.jitter,
            retry_on=self.retry_on,
        )
