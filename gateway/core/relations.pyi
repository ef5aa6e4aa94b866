"""Types of gateway.core.relations: it has nothing for Python."""
