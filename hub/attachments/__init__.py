"""Scans and photos of machines: taken behind all records, kept sealed, opened for who may read them."""
