"""One search in pictures: its trials, a model of them, what mattered, and whether a bound held it back."""
