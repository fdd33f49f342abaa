"""Callbacks that are lost on purpose: exactly so many of so many, chosen by a seed."""

import random
import threading
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate


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


class LossSchema(Schema):
    """The JSON of a loss."""

    lose = fields.Integer(strict=True, validate=validate.Range(min=0, max=1000))
    of = fields.Integer(strict=True, validate=validate.Range(min=1, max=1000))
    seed = fields.String(validate=validate.Length(max=200))

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Loss:
        loss = Loss(**data)
        if loss.lose > loss.of:
            raise ValidationError("More than of.", "lose")
        return loss


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
