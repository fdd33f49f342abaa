"""The files of the project: what git tracks or, where there is no git, what .gitignore does not name."""

import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tracked_files(folder: Path) -> list[str]:
    """The paths of the project's files below a folder, relative to it, in order."""
    if git := shutil.which("git"):
        command = [git, "-C", str(folder), "ls-files"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        if not listed.returncode:
            return listed.stdout.split()
    # An archive of the project, or a machine without git.
    lines = (ROOT / ".gitignore").read_text().split()
    ignored = [".git", *(line.rstrip("/") for line in lines)]
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    below = [path.relative_to(folder) for path in paths]
    return [
        str(path)
        for path in below
        if not any(fnmatch(part, pattern) for part in path.parts for pattern in ignored)
    ]
