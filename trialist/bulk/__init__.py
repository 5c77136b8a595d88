"""A file of contexts and continuations -> a file of their log-probabilities, with any model that can choose."""
