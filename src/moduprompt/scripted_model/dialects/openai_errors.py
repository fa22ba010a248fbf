"""Errors as the servers of both OpenAI dialects say them."""

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def refused(status: int, message: str) -> object:
    kind, code = KINDS.get(status, "server_error"), CODES.get(status)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
