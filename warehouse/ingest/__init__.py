"""From files to typed, validated rows in Parquet, with a record of every rejected row."""
