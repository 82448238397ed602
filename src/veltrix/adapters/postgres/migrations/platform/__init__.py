"""Steps of the platform's database: schemas ledger, notification and registration."""
