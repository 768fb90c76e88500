"""What a dead actor is to those who talk to it."""


class ActorGone(Exception):  # noqa: N818 - it is not an error of ours
    """The actor is dead, restarting, or out of reach. Raised here only, so that callers never see Ray's errors."""

    def __init__(self, reason: str = "", *, for_good: bool = False) -> None:
        """`for_good` says that Ray does not start it again."""
        super().__init__(reason)
        self.for_good = for_good
