"""What runs here: `/version`."""

import os
import platform
from importlib import metadata

from listener import __version__

# Where Heroku tells the commit that runs, the new name and the old one.
COMMIT_VARIABLES = ("HEROKU_BUILD_COMMIT", "HEROKU_SLUG_COMMIT")
TOLD = ("gunicorn", "gevent", "flask", "redis")


def version() -> dict[str, str | dict[str, str] | None]:
    """Name, version, commit (None where no platform tells) and versions of what it stands on."""
    commit = next((os.environ[name] for name in COMMIT_VARIABLES if os.environ.get(name)), None)
    return {
        "name": "thingspace-fota-listener",
        "version": __version__,
        "commit": commit,
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in TOLD},
    }
