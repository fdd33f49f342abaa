"""Makes upgrades: those of a request to the control side, and those that are scheduled through the API."""

import threading
from collections.abc import Callable

from sandbox.campaigns import requests
from sandbox.campaigns.catalogue import Batch, Catalogue
from sandbox.campaigns.requests import FIRST_DEVICE, CampaignRequest


class Campaigns:
    """Adds upgrades to a catalogue. Every method is atomic.

    Args:
        catalogue: where they are kept.
        clock: the time, in seconds since the epoch.
    """

    def __init__(self, catalogue: Catalogue, *, clock: Callable[[], float]) -> None:
        self._catalogue = catalogue
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
            self._catalogue.add(batch)
        return batch

    def clear(self) -> None:
        """Forgets all upgrades, and begins to number requests and devices anew."""
        with self._mutex:
            self._number, self._next_device = 0, FIRST_DEVICE
            self._catalogue.clear()
