"""gunicorn's configuration, which it finds by this name in its working directory: that of `listener/gunicorn_conf.py`."""

import sys
from pathlib import Path

# Lets `-c` from another directory find the package, which lies beside this file.
if (folder := str(Path(__file__).parent)) not in sys.path:
    sys.path.append(folder)

from listener.gunicorn_conf import *
