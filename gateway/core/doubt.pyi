"""Types of gateway.core.doubt: nothing of it is called from Python."""
