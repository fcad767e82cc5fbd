"""Keys, records, sealing, certificates: what makes a record evidence. Imports only `proto`."""
