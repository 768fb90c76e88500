"""What happens again and again, and is worth a line in the log only now and then: a server cannot flood it."""


class Recurrence:
    """Counts one sort of thing."""

    def __init__(self) -> None:
        self.count = 0
        """How often it has happened."""

    def again(self) -> bool:
        """It has happened once more; whether to say so, as the 1st, 2nd, 4th, 8th … time."""
        self.count += 1
        return self.count & (self.count - 1) == 0
