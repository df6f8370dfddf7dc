"""What people did: events from every door, durable before they are acknowledged, each counted once."""
