"""The config: its language, where its files lie, and its typed and checked form."""
