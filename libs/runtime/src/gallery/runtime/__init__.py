"""How every process runs: settings, logs, health, database, outbox, consumers, leased work, child processes."""
