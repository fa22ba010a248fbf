"""Whether a run did its job, when it is over: what it said in sum, how it ended, and what it left behind, together."""

from moduprompt.effects.agents.port import AgentAdapter, End, Verdict, Work
from moduprompt.effects.agents.summary import Summary
from moduprompt.effects.runner import port


def judge(adapter: AgentAdapter, said: Summary, exited: port.Exited, *, work: Work | None) -> Verdict:
    """The verdict. The recording is the source of what was said, so it makes no difference who asks, or how often."""
    return adapter.verdict(End(said=said, how=exited.how, code=exited.code, signal=exited.signal, work=work))
