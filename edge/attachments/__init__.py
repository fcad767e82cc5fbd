"""Scans and photos of this machine: sealed before they are written, named by records, uploaded behind all of them."""
