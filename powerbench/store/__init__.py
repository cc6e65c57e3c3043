"""The results store: tables, migrations, and the only writer of results."""
