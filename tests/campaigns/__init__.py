"""System tests that run for minutes: faults, a simulated week. Run in full by name, in short form by pytest."""
