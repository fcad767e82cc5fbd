"""Shipped zstd dictionaries for bodies. Never changed, only added: old records need the one they were made with."""
