"""What "good" means, in one place: table schemas (pandera) and the checks built on them."""
