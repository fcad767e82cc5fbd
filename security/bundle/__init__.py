"""Bundles: entries with what proves them, in one file that anybody can check without a hub (docs/bundle-format.md)."""
