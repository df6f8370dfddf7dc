"""Who may ask, and how often: keys, scopes, and limits; before a request is read."""
