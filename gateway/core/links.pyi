"""Types of gateway.core.links."""

class Links:
    def take_armed(self) -> list[int]: ...
