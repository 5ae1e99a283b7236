"""What the store says to a site: how its clinicians receive the advice, and who was told what."""
