"""Who is calling: signed tokens of registered clients (CH-130 to CH-138). Knows no HTTP and no web framework."""
