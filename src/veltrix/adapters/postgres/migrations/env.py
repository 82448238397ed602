"""What Alembic runs: it writes the steps' SQL, and `migrate` carries them out in one transaction."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    # Only that style leaves a percent sign in a function's body as it is.
    dialect_opts={"paramstyle": "named"},
    version_table="versions",
    version_table_schema="migrations",
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
