"""Embedders, one a file: modules from pooled features (B x in_features) to embeddings (B x size)."""
