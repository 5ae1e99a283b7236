"""What was answered, on which rows, and what became of it. No resource bodies, no patient identifiers."""
