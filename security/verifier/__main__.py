"""`python -m security.verifier`: for a machine with nothing but a copy of `proto` and `security`."""

from security.verifier.command import main

main()
