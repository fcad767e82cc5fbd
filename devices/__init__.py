"""Drivers for the devices on a counter. This package knows nothing of accounts, records or networks."""
