"""API keys of a home: what one is, and the file that holds them; who checks them is `serving.access`."""
