"""The composition root: `gunicorn listener.wsgi:app` serves what stands here. Importing it reads the environment.

Nothing is started here: `listener/gunicorn_conf.py` starts the queue in each worker, and closes it when the worker ends.
"""

from listener import logs, metrics
from listener.callback.app import create_app
from listener.errors import PROBLEM_TYPES
from listener.messages.kinds import KIND_NAMES
from listener.ops.app import create_ops_app
from listener.ops.port_dispatch import PortDispatcher
from listener.queue.queue import DurableQueue
from listener.server import gunicorn_guard
from listener.settings.settings import Settings

gunicorn_guard.require()
settings = Settings.from_env()
logs.configure(settings.log_format, settings.log_level, settings.secrets)
metrics.create_label_values(KIND_NAMES, PROBLEM_TYPES)
queue = DurableQueue(settings)
app = PortDispatcher(
    public=create_app(settings, queue=queue),
    operating=create_ops_app(settings, queue=queue),
    bind=settings.ops_bind,
)
