"""Makes upgrades: those of a request to the control side, and those that are scheduled through the API."""

import random
import threading
from collections.abc import Callable, Sequence

from sandbox.campaigns import requests
from sandbox.campaigns.catalogue import Batch, Catalogue
from sandbox.campaigns.requests import FIRST_DEVICE, CampaignRequest, new_id
from sandbox.campaigns.upgrade import Plan, Upgrade
from sandbox.courses.runner import Runner
from sandbox.delivery.losses import Losses

SECURE = random.SystemRandom()


class Campaigns:
    """Adds upgrades to a catalogue and starts their courses. Every method is atomic.

    Args:
        catalogue: where they are kept.
        runner: what sends their callbacks.
        clock: the time, in seconds since the epoch.
    """

    def __init__(self, catalogue: Catalogue, runner: Runner, *, clock: Callable[[], float]) -> None:
        self._catalogue = catalogue
        self._runner = runner
        self._clock = clock
        self._mutex = threading.Lock()
        self._number = 0
        self._next_device = FIRST_DEVICE

    def create(self, request: CampaignRequest, account: str) -> Batch:
        """The upgrades that a request asks for."""
        with self._mutex:
            self._number += 1
            batch = requests.build(
                request,
                account=account,
                number=self._number,
                first_device=self._next_device,
                now=self._clock(),
            )
            if request.first_device is None:
                self._next_device += request.devices
            self._add(batch)
        return batch

    def schedule(self, plan: Plan, devices: Sequence[str]) -> Batch:
        """One upgrade as the API plans it, for devices in ascending order."""
        with self._mutex:
            self._number += 1
            now = self._clock()
            upgrade = Upgrade(plan, 0, new_id(plan.version, now, SECURE), now, devices)
            batch = Batch(self._number, plan, devices, (upgrade,), Losses())
            self._add(batch)
        return batch

    def clear(self) -> None:
        """Forgets all upgrades, and begins to number requests and devices anew."""
        with self._mutex:
            self._number, self._next_device = 0, FIRST_DEVICE
            self._runner.clear()
            self._catalogue.clear()

    def _add(self, batch: Batch) -> None:
        self._catalogue.add(batch)
        self._runner.add(batch)
