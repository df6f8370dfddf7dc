"""Events from a Kafka topic into the journal: the same events as by HTTP, each once."""
