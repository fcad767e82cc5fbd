"""`suozhan-verify`, or `python -m security.verifier` on a machine with nothing but a copy of `proto` and `security`."""

import sys


def main() -> None:
    """Ctrl-C ends it without a traceback, also while it still loads."""
    try:
        from security.verifier.command import main as command  # noqa: PLC0415 - loading takes half a second

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
