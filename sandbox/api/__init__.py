"""The provider's side, under /api: tokens, sessions, callback registrations, reports and the scheduling of upgrades."""

from sandbox.api import callbacks, reports_v1, reports_v2, reports_v3, scheduling, sessions
from sandbox.api.blueprint import api, respond

__all__ = [
    "api",
    "callbacks",
    "reports_v1",
    "reports_v2",
    "reports_v3",
    "respond",
    "scheduling",
    "sessions",
]
