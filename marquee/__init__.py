"""What programs import to read recommendations; the platform itself is in the other packages."""
