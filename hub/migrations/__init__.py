"""The steps of the hub's schema, forward only; run by hub/migrate.py."""
