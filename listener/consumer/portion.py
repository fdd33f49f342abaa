"""How much a consumer asks for at once. Pure."""

# Full answers before a size is tried again on which a connection broke: a broken one costs little beside them.
PASSES_BEFORE_RETRY = 8


class Portion:
    """Shrinks when a connection broke on an answer, and grows again, little by little.

    A server, or a proxy before it, may cut a connection whose answer is too large
    (client-output-buffer-limit), and a slow network may not bring a large answer in time. The same
    question again would meet the same end. Threads share it.

    Args:
        most: messages or bytes, at most; what it is at first.
        least: what it never falls below.
        first: what it is at first, if that is less than `most`.
    """

    def __init__(self, most: int, least: int = 1, first: int | None = None) -> None:
        self._most = most
        self._least = least
        self._broke_at = most + 1
        self._passes = 0
        self.size = most if first is None else min(first, most)

    def shrink(self) -> None:
        """An answer did not come whole."""
        self._broke_at, self._passes = self.size, 0
        self.size = max(self._least, self.size // 2)

    def fit(self, size: int) -> None:
        """More than that at once is not wanted now."""
        self.size = max(self._least, min(self.size, size))

    def grow(self) -> None:
        """An answer came that was as large as it could be."""
        larger = min(self._most, self.size + max(1, self.size // 8))
        if larger >= self._broke_at:
            self._passes += 1
            if self._passes < PASSES_BEFORE_RETRY:
                return
            self._broke_at = self._most + 1
        self.size = larger
