"""Devices over their real stacks, one file a kind, and hands that do to them what people do."""
