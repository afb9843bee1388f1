"""The Encapsulated PDF report: what it says, how it looks on paper, and the object that holds it."""
