"""What a machine could not deliver over a line comes in a file (docs/damage.md)."""
