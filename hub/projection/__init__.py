"""What the feed shows, in tables that can be asked: one pass over it for all views."""
