"""The first projection of the feed: each site's electronic ledger (台账) of transactions."""
