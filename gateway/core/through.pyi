"""Types of gateway.core.through: nothing of it is called from Python but its making."""

class Through:
    def __init__(self, lines: int) -> None: ...
