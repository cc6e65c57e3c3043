"""One file a revision of the schema; shipped revisions never change."""
