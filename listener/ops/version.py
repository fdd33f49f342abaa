"""What runs here: `/version`."""

import os
import platform
from importlib import metadata

from listener import __version__

# Where whoever built this tells its commit: the Dockerfile's build argument, and Heroku by two names. It is
# a fact about the build and changes nothing, so it is no setting.
COMMIT_VARIABLES = ("BUILD_COMMIT", "HEROKU_BUILD_COMMIT", "HEROKU_SLUG_COMMIT")
TOLD = ("gunicorn", "gevent", "flask", "redis")


def version() -> dict[str, str | dict[str, str] | None]:
    """Name, version, commit (None where nobody tells) and versions of what it stands on."""
    commit = next((os.environ[name] for name in COMMIT_VARIABLES if os.environ.get(name)), None)
    return {
        "name": "thingspace-fota-listener",
        "version": __version__,
        "commit": commit,
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in TOLD},
    }
