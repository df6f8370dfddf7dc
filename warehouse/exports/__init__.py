"""Exports: a published release loaded into somebody's database or folder, under its own name, then switched to.

One module per kind of target (`postgresql`, `redis_keys`, `parquet_files`) behind one interface (`target`); `export` is
the way all of them go, `release_file` what they read, `address` where they are, `settings` a home's `exports.toml`.
Nothing here opens the working database.
"""
