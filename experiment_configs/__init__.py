"""The YAML configs that come with powerbench, one folder a category; ``suites`` holds the suites."""
