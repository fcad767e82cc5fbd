"""Stand-ins for wires: cards, readers and a card service that need no hardware."""
