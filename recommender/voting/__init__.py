"""Who comes first: the order of neighbours, and the score that ranks films."""
