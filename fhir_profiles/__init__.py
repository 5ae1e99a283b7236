"""What patient data looks like: codes, reading resources into facts, writing draft orders, synthetic examples."""
