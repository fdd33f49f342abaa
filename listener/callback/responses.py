"""The public port's responses: JSON with a known length, and problem+json made of errors."""

import orjson
from flask import Response
from werkzeug.datastructures import Headers

from listener.problem_responses import ProblemResponse


class WholeResponse(Response):
    """A response whose body and headers are complete when it is made: nothing is left to adapt to the request."""

    def get_wsgi_headers(self, _environ: object) -> Headers:
        """The headers as they are."""
        return self.headers


def json_response(**members: object) -> Response:
    """A response of status 200: a JSON object."""
    # The end of line is for those who call by hand in a terminal.
    body = orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)
    # Complete headers and a status as text are taken as they are; a list and a number would be converted first.
    headers = Headers()
    headers.add("Content-Type", "application/json")
    headers.add("Content-Length", str(len(body)))
    return WholeResponse([body], "200 OK", headers, direct_passthrough=True)


def from_problem(problem: ProblemResponse) -> Response:
    """Flask's form of the answer to an error."""
    return WholeResponse([problem.body], problem.status, problem.headers, direct_passthrough=True)
