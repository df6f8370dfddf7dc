"""The command `marquee`: one module per group of commands, and what they print."""
