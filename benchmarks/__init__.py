"""Speed beside a bare server, by ``make bench``; what the figures mean is in docs/measurements.md. Never a test."""
