"""A clock that tests turn."""


class Clock:
    """Tells the time that it was given."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
