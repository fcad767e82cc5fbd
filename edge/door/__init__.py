"""The counter's door: a loopback HTTP API that any counter program can call (docs/counter-api.md)."""
