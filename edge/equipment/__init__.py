"""The equipment of this machine: one task a device, its state, who uses it, and what may ail it."""
