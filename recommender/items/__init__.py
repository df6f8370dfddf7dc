"""Lists for existing users from an item model, and similar films."""
