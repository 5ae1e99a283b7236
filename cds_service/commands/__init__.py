"""Commands with a module of their own; ``cli`` lists them."""
