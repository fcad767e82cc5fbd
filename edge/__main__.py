"""`suozhan-edge`, or `python -m edge`."""

import sys


def main() -> None:
    """Ctrl-C ends it without a traceback, also while it still loads."""
    try:
        from edge.command import main as command  # noqa: PLC0415 - loading takes half a second

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
