"""The provider's callback API, and a client of it that can be used alone: see CallbackClient."""

from registrar.model import Credentials, Registration, ServiceName, Slot
from registrar.thingspace.client import CallbackClient
from registrar.thingspace.schemas import (
    DeregistrationResult,
    RegisteredCallback,
    RegistrationResult,
)

__all__ = [
    "CallbackClient",
    "Credentials",
    "DeregistrationResult",
    "RegisteredCallback",
    "Registration",
    "RegistrationResult",
    "ServiceName",
    "Slot",
]
