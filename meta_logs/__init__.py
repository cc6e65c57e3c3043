"""From a results store to statistics, tables, figures and pages."""
