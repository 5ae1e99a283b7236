"""Groups of commands that work on the store; ``cli`` lists them."""
