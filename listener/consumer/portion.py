"""How many messages a consumer asks for at once. Pure."""


class Portion:
    """Shrinks when a connection broke on an answer, and grows again, little by little.

    A server, or a proxy before it, may cut a connection whose answer is too large
    (client-output-buffer-limit), and a slow network may not bring a large answer in time. The same
    question again would meet the same end. Threads share it.

    Args:
        most: what it is at first, and at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = most

    def shrink(self) -> None:
        """An answer did not come whole."""
        self.size = max(1, self.size // 2)

    def grow(self) -> None:
        """An answer came that was as large as it could be."""
        self.size = min(self._most, self.size + max(1, self.size // 8))
