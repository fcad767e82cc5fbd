"""The machines' equipment: device lists, and what machines say of their devices."""
