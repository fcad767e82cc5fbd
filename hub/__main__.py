"""`suozhan-hub`, or `python -m hub`."""

import sys


def main() -> None:
    """Ctrl-C ends it without a traceback, also while it still loads."""
    try:
        from hub.command import main as command  # noqa: PLC0415 - loading takes half a second

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
