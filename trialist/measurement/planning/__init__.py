"""A design -> what it could have seen, or what it needs."""
