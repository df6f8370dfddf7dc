"""Computing apart from the database: units of work, each a pure function of a pack, and who computes them."""
