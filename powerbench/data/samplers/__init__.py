"""Samplers, one a file: which items make up each batch, planned before any is loaded."""
