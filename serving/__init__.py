"""HTTP service and sign-up page over published releases; the working database is never opened here."""
