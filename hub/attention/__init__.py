"""What people must look at or decide: alarms and approvals. Both stand in the hub's own journal, too."""
