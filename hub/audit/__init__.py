"""Behind the fast path: every single record of the ledger is looked at once more."""
