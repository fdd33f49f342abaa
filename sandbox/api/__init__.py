"""The provider's side, under /api: tokens, sessions and callback registrations."""

from sandbox.api import callbacks, sessions
from sandbox.api.blueprint import api, respond

__all__ = ["api", "callbacks", "respond", "sessions"]
