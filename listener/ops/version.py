"""`/version`: the service's version and commit, and the versions of Python and of the main libraries."""

import os
import platform
from importlib import metadata

from listener import __version__

# Where a build writes its commit: the Dockerfile's build argument, and Heroku under two names. The
# commit is a fact about the build and changes nothing, so it is no setting.
COMMIT_VARIABLES = ("BUILD_COMMIT", "HEROKU_BUILD_COMMIT", "HEROKU_SLUG_COMMIT")
LIBRARIES = ("gunicorn", "gevent", "flask", "redis")


def version_info() -> dict[str, str | dict[str, str] | None]:
    """The body of `/version`; `commit` is None if no variable has it."""
    commit = next((os.environ[name] for name in COMMIT_VARIABLES if os.environ.get(name)), None)
    return {
        "name": "thingspace-fota-listener",
        "version": __version__,
        "commit": commit,
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }
