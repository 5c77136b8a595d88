"""Files of scores that others wrote -> Scores and their items."""
