"""Judge scores on all items and gold labels on some -> an estimate whose error counts the judge's."""
