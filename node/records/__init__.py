"""What the node knows: the record store (SQLAlchemy), its schema, states and the questions asked of it."""
