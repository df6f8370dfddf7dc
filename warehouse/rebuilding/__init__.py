"""Making the working database again after it was lost: from imports, models, releases and their records."""
