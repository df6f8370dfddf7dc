"""Contents of the working database: one module per group of tables, each with the SQL that fills and reads it."""
