"""Steps of the vault's database."""
