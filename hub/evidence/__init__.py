"""What the hub hands out for others to check: bundles of entries with their proofs."""
