"""How a machine becomes known: sites, invitations, keys, certificates."""
