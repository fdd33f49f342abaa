"""What gunicorn serves: `gunicorn listener.wsgi:app`. Importing it reads the environment."""

from listener import logs
from listener.app import create_app
from listener.queue.writer import RedisQueue
from listener.settings import Settings

settings = Settings.from_env()
logs.configure(settings.log_format, settings.log_level, settings.secrets)
app = create_app(settings, queue=RedisQueue(settings))
