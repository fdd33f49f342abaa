"""Callbacks that are lost on purpose: exactly so many of so many, chosen by a seed."""

import random
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """Of every `of` callbacks `lose` are never sent; which ones, the seed decides. `lose` is at most `of`."""

    lose: int = 0
    of: int = 1
    seed: str = "0"

    def takes(self, number: int) -> bool:
        """Whether the callback with this number, from 0, is lost: the same in every run."""
        block, place = divmod(number, self.of)
        # Not a secret: the choice has to be the same in every run.
        chosen = random.Random(f"{self.seed}:{block}").sample(range(self.of), self.lose)  # noqa: S311
        return place in chosen


class Losses:
    """Applies a loss to callbacks as they come. Every method is atomic."""

    def __init__(self, loss: Loss | None = None) -> None:
        self._mutex = threading.Lock()
        self._loss = loss or Loss()
        self._number = 0

    def takes_next(self) -> bool:
        """Whether the next callback is lost."""
        with self._mutex:
            number = self._number
            self._number += 1
            return bool(self._loss.lose) and self._loss.takes(number)

    def replace(self, loss: Loss) -> None:
        """Begins with another loss, at callback 0."""
        with self._mutex:
            self._loss, self._number = loss, 0

    @property
    def loss(self) -> Loss:
        with self._mutex:
            return self._loss
