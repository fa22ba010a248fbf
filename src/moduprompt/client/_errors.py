"""What can go wrong between a client and its daemon, as four kinds.

`CommandRefused` and `RequestRefused` are answers: the daemon understood and said no.
`Unreachable` is no answer; whether the command was carried out is then unknown, and
sending it again with the same key is safe. `AnswerBroken` is an answer of someone else.
"""

from moduprompt.protocol import Code, ErrorObject, RefusedAnswer, Rejection, to_error


class ClientError(Exception):
    """Any of the four."""

    def to_error(self) -> ErrorObject:
        """The contract's error object that says the same."""
        return ErrorObject(code=Code.UNKNOWN, message=str(self))


class CommandRefused(ClientError):
    """The daemon judged the command and refused it."""

    def __init__(self, answer: RefusedAnswer) -> None:
        super().__init__(answer.rejection.message)
        self.answer = answer

    @property
    def rejection(self) -> Rejection:
        """Why."""
        return self.answer.rejection

    @property
    def code(self) -> Code:
        """Why, as one word."""
        return self.answer.rejection.code

    def to_error(self) -> ErrorObject:
        """The error object with the command's trace."""
        return to_error(self.answer.rejection, self.answer.trace_id)


class RequestRefused(ClientError):
    """The daemon refused a request that was no command, or did not take it for one."""

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error

    @property
    def code(self) -> Code:
        """Why, as one word."""
        return self.error.code

    def to_error(self) -> ErrorObject:
        """As it came."""
        return self.error


class Unreachable(ClientError):
    """No daemon, a lost connection, or no answer in time."""

    def to_error(self) -> ErrorObject:
        """`unavailable`."""
        return ErrorObject(
            code=Code.UNAVAILABLE, message=str(self), hint="see whether a daemon runs: mpd status"
        )


class AnswerBroken(ClientError):
    """What answered does not speak the protocol, or sent more than its bound."""

    def to_error(self) -> ErrorObject:
        """`unknown`."""
        return ErrorObject(
            code=Code.UNKNOWN, message=str(self), hint="is it a daemon of this version? mpd status"
        )
