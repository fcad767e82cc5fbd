"""What stops an agent from starting, and a person can mend."""


class PortTaken(OSError):
    """Another program listens on the door's port."""


class AlreadyRunning(RuntimeError):
    """Another agent works in this folder."""
