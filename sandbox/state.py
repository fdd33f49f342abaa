"""The sandbox's state: all its parts, built once."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, cast

from flask import current_app

from sandbox.accounts.credentials import Credentials
from sandbox.accounts.registrations import Registrations
from sandbox.campaigns.catalogue import Catalogue
from sandbox.courses.campaigns import Campaigns
from sandbox.courses.runner import Runner
from sandbox.delivery.deliveries import Deliveries
from sandbox.delivery.losses import Losses
from sandbox.delivery.sender import Sender
from sandbox.faults import Faults
from sandbox.reports.chosen import ChosenOptions
from sandbox.reports.options import ReportOptions
from sandbox.request_log import RequestLog
from sandbox.settings import Settings

EXTENSION = "thingspace-sandbox"
RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class State:
    """One sandbox. Its parts are safe for threads."""

    settings: Settings
    credentials: Credentials
    registrations: Registrations
    faults: Faults
    request_log: RequestLog
    deliveries: Deliveries
    losses: Losses
    sender: Sender
    catalogue: Catalogue
    runner: Runner
    campaigns: Campaigns
    report_options: ChosenOptions
    clock: Callable[[], float]

    @classmethod
    def build(
        cls,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = RANDOM.uniform,
        report_options: ReportOptions | None = None,
    ) -> Self:
        registrations = Registrations(clock=clock, rotation_lag_s=settings.rotation_lag_s)
        deliveries = Deliveries(clock=clock)
        catalogue, losses = Catalogue(), Losses()
        sender = Sender(settings, registrations, deliveries, losses, clock=clock, uniform=uniform)
        runner = Runner(sender, clock=clock)
        return cls(
            settings=settings,
            credentials=Credentials(settings, clock=clock),
            registrations=registrations,
            faults=Faults(),
            request_log=RequestLog(clock=clock),
            deliveries=deliveries,
            losses=losses,
            sender=sender,
            catalogue=catalogue,
            runner=runner,
            campaigns=Campaigns(catalogue, runner, clock=clock),
            report_options=ChosenOptions(report_options or ReportOptions()),
            clock=clock,
        )


def state() -> State:
    """The state of the application that handles the present request."""
    return cast("State", current_app.extensions[EXTENSION])
