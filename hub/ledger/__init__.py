"""Ingest, store and feed: every record once and in order, the signed bytes as they came."""
