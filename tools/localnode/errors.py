"""What can go wrong, with what to do about it: a person who only wanted a cluster should not need to read code."""


class LocalNodeError(RuntimeError):
    """Something that the person can put right. ``remedy`` says how; the command line exits with 2."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message if not remedy else f"{message}\n  remedy: {remedy}")
        self.remedy = remedy


class StartError(LocalNodeError):
    """A process of the node did not come up; the message ends with the last lines of its log."""
